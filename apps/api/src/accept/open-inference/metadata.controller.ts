import { type TensorSpec } from '@app/contracts';
import type { ModelCatalog } from '@app/models';
import { Controller, Get, Inject, Param } from '@nestjs/common';
import { Documented } from '../../docs/documented';
import { CATALOG } from '../../parts';
import { VERSION } from '../../version';
import { entriesOf } from '../model-entries';

/** Server and model metadata of the Open Inference Protocol. */
@Controller('v2')
export class MetadataController {
  constructor(@Inject(CATALOG) private readonly catalog: ModelCatalog) {}

  @Get()
  @Documented({ tag: 'models', summary: 'What this server is', ok: 'ServerMetadata' })
  server(): object {
    return { name: 'interleave', version: VERSION, extensions: ['binary_tensor_data', 'schedule_policy'] };
  }

  @Get(['models/:model', 'models/:model/versions/:version'])
  @Documented({ tag: 'models', summary: 'Inputs and outputs of a model', ok: 'ModelMetadata', errors: [404, 503] })
  model(@Param('model') name: string, @Param('version') version: string | undefined): object {
    const { signature } = this.catalog.find(name, version ?? null);
    return {
      name,
      versions: entriesOf(this.catalog, name, version).map((entry) => entry.version),
      platform: 'onnx_onnxv1',
      inputs: signature.inputs.map(tensorMetadata),
      outputs: signature.outputs.map(tensorMetadata),
    };
  }
}

const tensorMetadata = ({ name, datatype, shape }: TensorSpec): object => ({ name, datatype, shape });

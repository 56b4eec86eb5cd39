import { type TensorSpec } from '@app/contracts';
import { visibleModels, type ModelCatalog } from '@app/models';
import { Controller, Get, Inject, Param, Req } from '@nestjs/common';
import type { FastifyRequest } from 'fastify';
import { callerOf } from '../../access/caller';
import { Documented } from '../../docs/documented';
import { CATALOG } from '../../tokens';
import { VERSION } from '../../version';
import { LaneMerging } from '../lane-merging';
import { entriesOf } from '../model-entries';
import { notSupported } from './triton.controller';

/** Server and model metadata of the Open Inference Protocol. */
@Controller('v2')
export class MetadataController {
  constructor(
    @Inject(CATALOG) private readonly catalog: ModelCatalog,
    private readonly merging: LaneMerging,
  ) {}

  @Get()
  @Documented({ tag: 'models', summary: 'What this server is', ok: 'ServerMetadata' })
  server(): object {
    return { name: 'interleave', version: VERSION, extensions: ['binary_tensor_data', 'schedule_policy'] };
  }

  @Get(['models/:model', 'models/:model/versions/:version'])
  @Documented({ tag: 'models', summary: 'Inputs and outputs of a model', ok: 'ModelMetadata', errors: [404, 503] })
  async model(
    @Param('model') name: string,
    @Param('version') version: string | undefined,
    @Req() request: FastifyRequest,
  ): Promise<object> {
    const catalog = visibleModels(this.catalog, callerOf(request).models);
    // Triton has the statistics of all models there.
    if (name === 'stats' && version === undefined && !catalog.list().some((entry) => entry.name === name))
      throw notSupported('/v2/models/stats');
    const { signature, version: served } = catalog.find(name, version ?? null);
    const entries = entriesOf(catalog, name, version);
    const entry = entries.find((other) => other.version === served);
    const { realtime, batch } = entry === undefined ? {} : await this.merging.of(entry);
    return {
      name,
      versions: entries.map((other) => other.version),
      platform: 'onnx_onnxv1',
      inputs: signature.inputs.map(tensorMetadata),
      outputs: signature.outputs.map(tensorMetadata),
      parameters: { ...(realtime !== undefined && { merging_realtime: realtime }), ...(batch !== undefined && { merging_batch: batch }) },
    };
  }
}

const tensorMetadata = ({ name, datatype, shape }: TensorSpec): object => ({ name, datatype, shape });

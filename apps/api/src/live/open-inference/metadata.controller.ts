import type { ModelCatalog } from '@app/models';
import { Controller, Get, Inject, Param } from '@nestjs/common';
import { Documented } from '../../docs/documented';
import { CATALOG } from '../../tokens';
import { VERSION } from '../../version';
import { LaneMerging } from '../lane-merging';
import { modelMetadata } from './model-metadata';
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
  async model(@Param('model') name: string, @Param('version') version: string | undefined): Promise<object> {
    // Triton has the statistics of all models there.
    if (name === 'stats' && version === undefined && !this.catalog.list().some((entry) => entry.name === name))
      throw notSupported('/v2/models/stats');
    const [metadata, entry] = modelMetadata(this.catalog, name, version);
    const { realtime, batch } = entry === undefined ? {} : await this.merging.of(entry);
    return {
      ...metadata,
      parameters: { ...(realtime !== undefined && { merging_realtime: realtime }), ...(batch !== undefined && { merging_batch: batch }) },
    };
  }
}

import type { Config } from '@app/config';
import { VERSION } from '@app/contracts';
import { visibleModels, type ModelView } from '@app/models';
import { Controller, Get, Inject, Param, Req } from '@nestjs/common';
import type { FastifyRequest } from 'fastify';
import { callerOf } from '../../access/caller';
import { Documented } from '../../docs/documented';
import { CATALOG, CONFIG } from '../../tokens';
import { LaneMerging } from '../lane-merging';
import { extensionsOf } from './extensions';
import { modelMetadata } from './model-metadata';

/** Server and model metadata of the Open Inference Protocol. */
@Controller('v2')
export class MetadataController {
  constructor(
    @Inject(CONFIG) private readonly config: Config,
    @Inject(CATALOG) private readonly catalog: ModelView,
    private readonly merging: LaneMerging,
  ) {}

  @Get()
  @Documented({ tag: 'models', summary: 'What this server is', ok: 'ServerMetadata' })
  server(): object {
    return { name: 'interleave', version: VERSION, extensions: extensionsOf(this.config.http) };
  }

  @Get(['models/:model', 'models/:model/versions/:version'])
  @Documented({ tag: 'models', summary: 'Inputs and outputs of a model', ok: 'ModelMetadata', errors: [404, 503] })
  async model(
    @Param('model') name: string,
    @Param('version') version: string | undefined,
    @Req() request: FastifyRequest,
  ): Promise<object> {
    const [metadata, entry] = modelMetadata(visibleModels(this.catalog, callerOf(request).models), name, version);
    const { realtime, batch } = entry === undefined ? {} : await this.merging.of(entry);
    return {
      ...metadata,
      parameters: { ...(realtime !== undefined && { merging_realtime: realtime }), ...(batch !== undefined && { merging_batch: batch }) },
    };
  }
}

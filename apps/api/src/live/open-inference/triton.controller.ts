import { InterleaveError } from '@app/contracts';
import { visibleModels, type ModelView } from '@app/models';
import { Controller, Get, HttpCode, Inject, Param, Post, Req, Res } from '@nestjs/common';
import type { FastifyReply, FastifyRequest } from 'fastify';
import { callerOf } from '../../access/caller';
import { Documented } from '../../docs/documented';
import { CATALOG } from '../../tokens';
import { JsonBody } from './json-body';
import { ModelConfigs, type ModelConfig } from './model-config';
import { LiveStatistics, type ModelStatistics } from './model-statistics';
import { repositoryIndex, type IndexEntry } from './repository-index';

/** Triton's extensions that tell about models: statistics, configuration, repository index. */
@Controller('v2')
export class TritonController {
  constructor(
    @Inject(CATALOG) private readonly catalog: ModelView,
    private readonly live: LiveStatistics,
    private readonly configs: ModelConfigs,
    private readonly bodies: JsonBody,
  ) {}

  @Get('models/stats')
  @Documented({ tag: 'models', summary: "Triton's statistics of live requests to all models", ok: 'ModelStatistics' })
  allStatistics(@Req() request: FastifyRequest): { model_stats: ModelStatistics[] } {
    return this.live.statistics(this.visibleTo(request), null, null);
  }

  @Get(['models/:model/stats', 'models/:model/versions/:version/stats'])
  @Documented({
    tag: 'models',
    summary: "Triton's statistics of live requests",
    description: 'Counted since this API process took over.',
    ok: 'ModelStatistics',
    errors: [404],
  })
  statistics(
    @Param('model') name: string,
    @Param('version') version: string | undefined,
    @Req() request: FastifyRequest,
  ): { model_stats: ModelStatistics[] } {
    return this.live.statistics(this.visibleTo(request), name, version ?? null);
  }

  @Get(['models/:model/config', 'models/:model/versions/:version/config'])
  @Documented({ tag: 'models', summary: "Triton's configuration of a model", ok: 'ModelConfig', errors: [404, 503] })
  config(@Param('model') name: string, @Param('version') version: string | undefined, @Req() request: FastifyRequest): ModelConfig {
    return this.configs.of(this.visibleTo(request), name, version ?? null);
  }

  @Post('repository/index')
  @HttpCode(200)
  @Documented({
    tag: 'models',
    summary: 'Every version of every model, and its state',
    body: 'RepositoryIndexRequest',
    isBodyOptional: true,
    ok: 'RepositoryIndex',
    errors: [400, 413, 415],
  })
  async index(@Req() request: FastifyRequest, @Res({ passthrough: true }) reply: FastifyReply): Promise<IndexEntry[]> {
    const { ready = false } = await this.bodies.read(request, reply);
    if (typeof ready === 'boolean') return repositoryIndex(this.visibleTo(request), ready);
    // JSON.stringify throws at the BigInt that a large number is.
    throw new InterleaveError('invalid_request', `expected true or false for ready but received a ${typeof ready}`, { param: 'ready' });
  }

  private visibleTo(request: FastifyRequest): ModelView {
    return visibleModels(this.catalog, callerOf(request).models);
  }
}

import { visibleModels, type ModelView } from '@app/models';
import { Controller, Get, Inject, Param, Req, Res } from '@nestjs/common';
import type { FastifyReply, FastifyRequest } from 'fastify';
import { callerOf } from '../access/caller';
import { Documented } from '../docs/documented';
import { CATALOG } from '../tokens';
import { Readiness } from './readiness';

/** Server and model health of the Open Inference Protocol. 503 is "not now"; an unknown model is 404. */
@Controller('v2')
export class HealthController {
  constructor(
    private readonly readiness: Readiness,
    @Inject(CATALOG) private readonly catalog: ModelView,
  ) {}

  @Get('health/live')
  @Documented({ tag: 'health', summary: 'Is the server up', ok: 'Live' })
  live(): object {
    return { live: true };
  }

  @Get('health/ready')
  @Documented({
    tag: 'health',
    summary: 'Does the server answer inference requests',
    description:
      'All models were loaded or have failed, at least one is ready, and the server is not shutting down. 503 otherwise, with `reason`.',
    ok: 'Ready',
    notReady: 'Ready',
  })
  ready(@Res() reply: FastifyReply): void {
    const reason = this.readiness.missing();
    // The specification calls this field `live` too.
    const body = { live: reason === null, ready: reason === null, ...(reason !== null && { reason }) };
    void reply.code(reason === null ? 200 : 503).send(body);
  }

  @Get(['models/:model/ready', 'models/:model/versions/:version/ready'])
  @Documented({
    tag: 'health',
    summary: 'Is this model ready',
    description: '503 while it is loading or when it has failed, with `reason`.',
    ok: 'ModelReady',
    notReady: 'ModelReady',
    errors: [404],
  })
  modelReady(
    @Param('model') name: string,
    @Param('version') version: string | undefined,
    @Req() request: FastifyRequest,
    @Res() reply: FastifyReply,
  ): void {
    const entries = visibleModels(this.catalog, callerOf(request).models).entriesOf(name, version ?? null);
    const ready = entries.some(({ state }) => state === 'ready');
    const reason = entries.find(({ reason }) => reason !== null)?.reason ?? 'loading';
    void reply.code(ready ? 200 : 503).send({ name: entries[0]?.name, ready, ...(!ready && { reason }) });
  }
}

import type { Config } from '@app/config';
import { InterleaveError } from '@app/contracts';
import type { Logger } from '@app/telemetry';
import { Inject, Module, type OnModuleInit } from '@nestjs/common';
import { APP_FILTER, HttpAdapterHost } from '@nestjs/core';
import type { FastifyInstance } from 'fastify';
import { Lifecycle } from '../lifecycle';
import { CONFIG, LOGGER } from '../tokens';
import { compressAnswers } from './compress-answers';
import { ErrorFilter } from './error-filter';
import { fastifyOf } from './fastify-adapter';
import { pathOf } from './log-failure';
import { RouteTable } from './route-table';

/** What holds for every route. */
@Module({
  providers: [
    { provide: RouteTable, useFactory: (http: HttpAdapterHost) => RouteTable.of(fastifyOf(http)), inject: [HttpAdapterHost] },
    { provide: APP_FILTER, useClass: ErrorFilter },
  ],
})
export class HttpModule implements OnModuleInit {
  constructor(
    private readonly http: HttpAdapterHost,
    private readonly lifecycle: Lifecycle,
    @Inject(LOGGER) private readonly logger: Logger,
    @Inject(CONFIG) private readonly config: Config,
  ) {}

  onModuleInit(): void {
    const fastify = fastifyOf(this.http);
    refuseAfterNotice(fastify, this.lifecycle);
    closeConnectionsWhileDraining(fastify, this.lifecycle);
    compressAnswers(fastify, this.config.http.compressBytesMin);
    logRequests(fastify, this.logger);
  }
}

const HEALTH = '/v2/health/';
const RETRY_AFTER_SECONDS = 1;

/** Who still comes on an open connection has had the time to see that this node ends, and has others to go to. */
function refuseAfterNotice(fastify: FastifyInstance, lifecycle: Lifecycle): void {
  fastify.addHook('onRequest', (request, reply, done) => {
    if (!lifecycle.refusing || request.url.startsWith(HEALTH)) return done();
    reply.header('connection', 'close');
    const text = 'This node is shutting down; try again, by a new connection to the fleet';
    done(new InterleaveError('worker_unavailable', text, { retryAfterSeconds: RETRY_AFTER_SECONDS }));
  });
}

/** Callers with a connection of their own learn that it ends before it does. */
function closeConnectionsWhileDraining(fastify: FastifyInstance, lifecycle: Lifecycle): void {
  fastify.addHook('onSend', (_request, reply, _payload, done) => {
    if (lifecycle.draining) reply.header('connection', 'close');
    done();
  });
}

/** At debug, which an operator may ask for while the node runs. */
function logRequests(fastify: FastifyInstance, logger: Logger): void {
  fastify.addHook('onResponse', (request, reply, done) => {
    if (logger.isLevelEnabled('debug')) {
      const { id, trace, live, method } = request;
      const of = { request_id: id, ...trace?.fields, model: live?.model || undefined, code: live?.errorCode ?? undefined };
      logger.debug({ ...of, method, path: pathOf(request), status: reply.statusCode, ms: reply.elapsedTime }, 'request');
    }
    done();
  });
}

import type { Logger } from '@app/telemetry';
import { NestFactory } from '@nestjs/core';
import type { NestFastifyApplication } from '@nestjs/platform-fastify';
import type { FastifyInstance } from 'fastify';
import { LiveGate } from './live/live-gate';
import { addLiveHooks } from './live/live-hooks';
import { serveQueueBoard } from './admin/queue-board';
import { AppModule } from './app.module';
import { acceptUploads } from './batches';
import { serveDocs } from './docs/openapi';
import { ErrorFilter } from './http/error-filter';
import { createFastifyAdapter } from './http/fastify-adapter';
import { protectPage } from './http/page-headers';
import { RouteTable } from './http/route-table';
import { Lifecycle } from './lifecycle';
import { LiveMetrics } from './metrics/live-metrics';
import { NestLogger } from './nest-logger';
import type { Parts } from './parts';

/** The application, ready to listen. */
export async function createServer(parts: Parts): Promise<NestFastifyApplication> {
  const adapter = createFastifyAdapter(parts.config);
  const fastify = adapter.getInstance() as unknown as FastifyInstance;
  const routes = new RouteTable();
  routes.collectFrom(fastify);
  const app = await NestFactory.create<NestFastifyApplication>(AppModule.of(parts), adapter, {
    bodyParser: false,
    logger: new NestLogger(parts.logger),
    abortOnError: false,
  });
  app.useGlobalFilters(new ErrorFilter(parts.logger, routes));
  addLiveHooks(fastify, app.get(LiveGate), app.get(LiveMetrics));
  closeConnectionsWhileDraining(fastify, app.get(Lifecycle));
  if (parts.logger.isLevelEnabled('debug')) logRequests(fastify, parts.logger);
  serveDocs(app);
  protectDocs(fastify);
  await serveQueueBoard(fastify, parts.batches);
  await acceptUploads(fastify);
  await app.init();
  await fastify.ready();
  return app;
}

/** Callers with a connection of their own learn that it ends before it does. */
function closeConnectionsWhileDraining(fastify: FastifyInstance, lifecycle: Lifecycle): void {
  fastify.addHook('onSend', (_request, reply, _payload, done) => {
    if (lifecycle.draining) reply.header('connection', 'close');
    done();
  });
}

function protectDocs(fastify: FastifyInstance): void {
  fastify.addHook('onRequest', (request, reply, done) => {
    // Swagger UI sets styles of its own.
    if (request.url.startsWith('/docs'))
      protectPage(reply, "default-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data:; base-uri 'none'");
    done();
  });
}

function logRequests(fastify: FastifyInstance, logger: Logger): void {
  fastify.addHook('onResponse', (request, reply, done) => {
    // The path without its query: a query may carry what is nobody's business.
    const path = request.url.split('?', 1)[0];
    logger.debug({ requestId: request.id, method: request.method, path, status: reply.statusCode, ms: reply.elapsedTime }, 'request');
    done();
  });
}

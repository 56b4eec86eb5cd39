import { ERRORS } from '@app/contracts';
import type { FastifyInstance } from 'fastify';
import type { LiveMetrics } from '../metrics/live-metrics';
import { HangUp } from './hang-up';
import type { LiveContext, LiveEndpoint } from './live-context';
import type { LiveGate } from './live-gate';

declare module 'fastify' {
  interface FastifyRequest {
    /** Null on routes that are not live. */
    live: LiveContext | null;
  }
  interface FastifyContextConfig {
    live?: LiveEndpoint;
  }
}

const HUNG_UP = ERRORS.client_closed.status;

/** Adds accept (arrival time, the look for room before the body) and the end of every live request. */
export function addLiveHooks(fastify: FastifyInstance, gate: LiveGate, metrics: LiveMetrics): void {
  fastify.decorateRequest('live', null);
  fastify.addHook('onRequest', (request, reply, done) => {
    const endpoint = request.routeOptions.config.live;
    if (endpoint === undefined) return done();
    const arrivedMs = performance.now();
    const live: LiveContext = {
      endpoint,
      arrivedMs,
      admittedMs: arrivedMs,
      model: '',
      errorCode: null,
      hangUp: new HangUp(),
      timing: null,
    };
    request.live = live;
    // Unlike Fastify's onResponse, `close` also comes when the caller hangs up.
    reply.raw.once('close', () => {
      live.hangUp.abort();
      metrics.finished(live, reply.raw.writableFinished ? reply.statusCode : HUNG_UP);
    });
    try {
      gate.checkHeaders(request);
    } catch (error) {
      return done(error as Error);
    }
    return done();
  });
}

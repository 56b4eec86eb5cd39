import { ERRORS } from '@app/contracts';
import type { FastifyInstance, FastifyRequest } from 'fastify';
import { callerOf } from '../access/caller';
import { isJson } from '../http/media-type';
import type { LiveMetrics } from '../metrics/live-metrics';
import { callerOptions } from './caller-options';
import { newCall, type LiveCall, type LiveEndpoint } from './live-call';
import type { LiveGate, UnpreparedBody } from './live-gate';
import type { ModelPath } from './model-path';

declare module 'fastify' {
  interface FastifyRequest {
    /** Null on routes that are not live. */
    live: LiveCall | null;
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
    const live = newCall(endpoint, callerOf(request), { requestId: request.id, trace: request.trace });
    request.live = live;
    // Unlike Fastify's onResponse, `close` also comes when the caller hangs up.
    reply.raw.once('close', () => {
      live.hangUp.abort();
      metrics.finished(live, reply.raw.writableFinished ? reply.statusCode : HUNG_UP);
    });
    try {
      live.options = callerOptions(request.headers);
      // What a compressed body unpacks to is not announced.
      const { 'content-length': length, 'content-encoding': encoding } = request.headers;
      gate.look(live, unprepared(request, live, length === undefined || encoding !== undefined ? null : Number(length)));
    } catch (error) {
      return done(error as Error);
    }
    return done();
  });
}

/** `bytes`: of its body; null: not announced. */
export function unprepared<Bytes extends number | null>(
  { params, headers }: FastifyRequest,
  { endpoint }: LiveCall,
  bytes: Bytes,
): UnpreparedBody<Bytes> {
  const { model = null, version = null } = params as ModelPath['Params'];
  return { model, version, kind: isJson(headers) ? endpoint : 'binary', bytes };
}

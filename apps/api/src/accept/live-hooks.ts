import { ERRORS, type InferenceBackend } from '@app/contracts';
import type { ModelCatalog } from '@app/models';
import type { FastifyInstance } from 'fastify';
import type { Admission } from '../admission/admission';
import type { LiveMetrics } from '../metrics/live-metrics';
import { callerOptions } from './caller-options';
import { HangUp } from './hang-up';
import type { LiveContext, LiveEndpoint } from './live-context';

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

export interface LiveGate {
  admission: Admission;
  backend: InferenceBackend;
  metrics: LiveMetrics;
  catalog: ModelCatalog;
  /** Of requests that do not say how long they may take, where their model does not either. */
  timeoutMs: number;
}

/** Adds accept (arrival time, the look for room before the body) and the end of every live request. */
export function addLiveHooks(fastify: FastifyInstance, { admission, backend, metrics, catalog, timeoutMs }: LiveGate): void {
  fastify.decorateRequest('live', null);
  fastify.addHook('onRequest', (request, reply, done) => {
    const endpoint = request.routeOptions.config.live;
    if (endpoint === undefined) return done();
    const live: LiveContext = { endpoint, arrivedMs: performance.now(), model: '', errorCode: null, hangUp: new HangUp(), timing: null };
    request.live = live;
    // Unlike Fastify's onResponse, `close` also comes when the caller hangs up.
    reply.raw.once('close', () => {
      live.hangUp.abort();
      metrics.finished(live, reply.raw.writableFinished ? reply.statusCode : HUNG_UP);
    });
    try {
      admission.checkRoom();
      const { model, version = null } = request.params as { model?: string; version?: string };
      const modelTimeoutMs = model === undefined ? null : catalog.find(model, version).timeoutMs;
      backend.checkAhead(model ?? null, version, callerOptions(request.headers).timeoutMs ?? modelTimeoutMs ?? timeoutMs);
    } catch (error) {
      return done(error as Error);
    }
    return done();
  });
}

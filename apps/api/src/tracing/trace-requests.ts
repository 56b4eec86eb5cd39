import type { TraceCarrier } from '@app/contracts';
import type { Tracing } from '@app/telemetry';
import type { FastifyInstance, FastifyRequest } from 'fastify';
import type { IncomingHttpHeaders } from 'node:http';
import { pathOf } from '../http/log-failure';
import { endLiveTrace } from './live-spans';
import { RequestTrace } from './request-trace';

declare module 'fastify' {
  interface FastifyRequest {
    /** Null: it is not traced. */
    trace: RequestTrace | null;
  }
}

/** The protocols; not what looks at the node itself, which would be most of all traces. */
const TRACED = /^\/v[12]\//;
const UNTRACED = /^\/v2\/health\//;
const HUNG_UP = 499;

/** Gives requests of the protocols a span each. Call it before hooks that answer. Without tracing it costs nothing. */
export function traceRequests(fastify: FastifyInstance, tracing: Tracing | null): void {
  fastify.decorateRequest('trace', null);
  if (tracing === null) return;
  fastify.addHook('onRequest', (request, reply, done) => {
    const route = request.routeOptions.url;
    if (route === undefined || !TRACED.test(route) || UNTRACED.test(route)) return done();
    const name = routeName(route);
    const trace = new RequestTrace(tracing, `${request.method} ${name}`, carrierOf(request.headers), attributesOf(request, name));
    request.trace = trace;
    reply.raw.once('close', () => {
      const status = reply.raw.writableFinished ? reply.raw.statusCode : HUNG_UP;
      trace.set({ 'http.response.status_code': status });
      if (request.live === null) trace.end(status);
      else endLiveTrace(request.live, status);
    });
    // The context costs some microseconds for each await that follows; a live request does without.
    if (request.routeOptions.config.live === undefined) trace.within(done);
    else done();
  });
}

/** As in the documentation: `/v1/models/:model(^.+)::predict` is `/v1/models/{model}:predict`. */
function routeName(pattern: string): string {
  return pattern.replace(/::|:(\w+)(?:\([^)]*\))?/g, (_, parameter?: string) => (parameter === undefined ? ':' : `{${parameter}}`));
}

/** Null: the caller sent none. */
function carrierOf({ traceparent, tracestate }: Pick<IncomingHttpHeaders, string>): TraceCarrier | null {
  if (typeof traceparent !== 'string') return null;
  return { traceparent, ...(typeof tracestate === 'string' && { tracestate }) };
}

/** The path is without its query, which may carry what is nobody's business. */
function attributesOf({ id, method, url, protocol }: FastifyRequest, route: string): Record<string, string> {
  return {
    'http.request.method': method,
    'http.route': route,
    'url.path': pathOf({ url }),
    'url.scheme': protocol,
    'interleave.request_id': id,
  };
}

import type { IncomingHttpHeaders } from 'node:http';
import { InterleaveError } from '@app/contracts';
import type { Config } from '@app/config';
import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify';
import { TIER_HEADER } from '../live/caller-options';
import { answerError } from './error-answer';
import { HostNames } from './host-names';

const READING: ReadonlySet<string> = new Set(['GET', 'HEAD']);
const PREFLIGHT_SECONDS = 600;
const METHODS = 'GET, HEAD, POST, DELETE';
const EXPOSED = [
  ...['x-request-id', 'retry-after', 'server-timing', 'inference-header-content-length'],
  ...['x-interleave-tokens', 'x-interleave-degraded', TIER_HEADER, 'ratelimit', 'ratelimit-policy'],
].join(', ');
const SHOWN_CHARACTERS_MAX = 128;

/**
 * Keeps web sites from using this node through the browser of someone who can reach it: unknown names for it and writes
 * from pages of other origins are refused, preflights are answered for the origins that are allowed. Call it before
 * other hooks that look at requests.
 */
export function guardAgainstBrowsers(fastify: FastifyInstance, { host, http }: Config): void {
  const names = new HostNames({ host, allowedHosts: http.allowedHosts });
  const origins = new Set<string>(http.allowedOrigins);
  fastify.addHook('onRequest', (request, reply, done) => {
    const { headers, method } = request;
    // Not by `done`: some routes have error handlers of their own.
    const refuse = (error: InterleaveError) => answerError(error, request, reply);
    if (!names.allows(headers.host, request.socket.localAddress)) return refuse(unknownHost(headers.host));
    const { origin } = headers;
    const isAllowed = origin !== undefined && (origins.has('*') || origins.has(origin));
    if (isAllowed) letRead(reply, origin);
    if (isPreflight(request)) return isAllowed ? answerPreflight(request, reply) : refuse(foreignOrigin(origin));
    if (!READING.has(method) && !isAllowed && !isSameOrigin(headers)) return refuse(foreignOrigin(origin));
    return done();
  });
}

/** Browsers say in both headers where a page comes from, and pages cannot change them; other clients send neither. */
function isSameOrigin({ host, origin, 'sec-fetch-site': site }: IncomingHttpHeaders): boolean {
  if (site !== undefined && site !== 'same-origin' && site !== 'none') return false;
  return origin === undefined || (host !== undefined && sameHost(origin, host));
}

/** The scheme may differ: TLS may end before this node. */
function sameHost(origin: string, host: string): boolean {
  const scheme = /^https?:\/\//.exec(origin)?.[0];
  if (scheme === undefined || !URL.canParse(origin) || !URL.canParse(scheme + host)) return false;
  return new URL(origin).host === new URL(scheme + host).host;
}

function isPreflight({ method, headers }: FastifyRequest): boolean {
  return method === 'OPTIONS' && headers['access-control-request-method'] !== undefined;
}

function letRead(reply: FastifyReply, origin: string): void {
  void reply.headers({ 'access-control-allow-origin': origin, 'access-control-expose-headers': EXPOSED, vary: 'origin' });
}

function answerPreflight({ headers }: FastifyRequest, reply: FastifyReply): void {
  const asked = headers['access-control-request-headers'];
  if (asked !== undefined) void reply.header('access-control-allow-headers', asked);
  if (headers['access-control-request-private-network'] === 'true') void reply.header('access-control-allow-private-network', 'true');
  void reply.headers({ 'access-control-allow-methods': METHODS, 'access-control-max-age': PREFLIGHT_SECONDS }).code(204).send();
}

function unknownHost(host: string | undefined): InterleaveError {
  return new InterleaveError(
    'forbidden',
    `Host: expected a name of this node but received ${shown(host)}; call it as localhost, or add the name to http.allowedHosts in interleave.yaml`,
    { param: 'host' },
  );
}

function foreignOrigin(origin: string | undefined): InterleaveError {
  const page = origin === undefined ? 'another site' : shown(origin);
  return new InterleaveError(
    'forbidden',
    `Origin: pages of ${page} may not call this node; add the origin to http.allowedOrigins in interleave.yaml to allow it`,
    { param: 'origin' },
  );
}

function shown(text: string | undefined): string {
  return JSON.stringify((text ?? '').slice(0, SHOWN_CHARACTERS_MAX));
}

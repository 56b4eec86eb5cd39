import { randomUUID } from 'node:crypto';
import type { IncomingMessage, Server } from 'node:http';
import type { Socket } from 'node:net';
import type { Server as TlsServer } from 'node:tls';
import type { Config } from '@app/config';
import { InterleaveError } from '@app/contracts';
import { joinOrganisation } from '@app/protocols';
import type { Tracing } from '@app/telemetry';
import type { HttpAdapterHost } from '@nestjs/core';
import { FastifyAdapter } from '@nestjs/platform-fastify';
import type { FastifyHttpOptions, FastifyInstance, FastifyReply, FastifyRequest } from 'fastify';
import { endLateHandshakes, followFiles, tlsOptions } from '../tls/tls-server';
import type { TlsFiles } from '../tls/tls-files';
import type { Access } from '../access/access';
import { guardAccess } from '../access/access-guard';
import type { Sessions } from '../access/sessions';
import { traceRequests } from '../tracing/trace-requests';
import { BodyReader } from './body-reader';
import { guardAgainstBrowsers } from './browser-guard';
import { callForBody, holdBackExpected } from './early-answer';
import { answerHalfClosed } from './half-open';
import { contentEncoding, type ContentEncoding } from './content-encoding';
import { demandTls } from './strict-transport';
import { mediaType, refuseTransferEncoded } from './media-type';
import { boundPipelines } from './pipelines';
import { answerWithoutTls } from './without-tls';
import { answerError, asInterleaveError, unsupportedMediaType } from './error-answer';

declare module 'fastify' {
  interface FastifyContextConfig {
    /** Its body is a form, not JSON. */
    takesForm?: true;
  }
}

/** A connection must have sent its headers, and a live request its body, by then; uploads have as long as they need. */
const HEADERS_MS_MAX = 15_000;
const BODY_READ_MS_MAX = 120_000;
const UPLOAD_MS_MAX = 6 * 3600_000;
const KEEP_ALIVE_MS = 72_000;
const CONNECTIONS_CHECK_MS = 2_000;
const HEADER_BYTES_MAX = 16 * 1024;
/** Room for an organisation and a model of 128 characters each. */
const PATH_PARAMETER_CHARACTERS_MAX = 320;
/** Bodies of the largest size that may be in memory at once. */
const LARGEST_BODIES_MAX = 4;
const READABLE: ReadonlySet<string> = new Set(['application/json', 'application/octet-stream']);
const CURL_DEFAULT = 'application/x-www-form-urlencoded';
const REQUEST_ID = /^[\x21-\x7e]{1,128}$/;

/** What the adapter asks; null: no TLS, no traces. */
export interface AdapterParts {
  access: Access;
  sessions: Sessions;
  tls: TlsFiles | null;
  tracing: Tracing | null;
}

/** Fastify with our limits, body handling, request ids and error shapes; nothing of it logs a request. */
export function createFastifyAdapter(config: Config, { access, sessions, tls, tracing }: AdapterParts): FastifyAdapter {
  const limits = { headersTimeout: HEADERS_MS_MAX, maxHeaderSize: HEADER_BYTES_MAX, connectionsCheckingInterval: CONNECTIONS_CHECK_MS };
  const transport = tls === null ? { http: limits } : { https: { ...limits, ...tlsOptions(tls.current, ['http/1.1']) } };
  const options: FastifyHttpOptions<Server> = {
    ...transport,
    requestTimeout: UPLOAD_MS_MAX,
    keepAliveTimeout: KEEP_ALIVE_MS,
    // While draining, requests on connections that are already open are still answered.
    return503OnClosing: false,
    routerOptions: { maxParamLength: PATH_PARAMETER_CHARACTERS_MAX },
    genReqId: requestId,
    requestIdHeader: false,
    rewriteUrl: ({ url }) => joinOrganisation(plainPath(url ?? '/')),
    frameworkErrors: (error, request, reply) => answerError(asInterleaveError(error), request, reply),
    clientErrorHandler: answerUnreadable,
  };
  // Middleware would cost every request a walk; there is none.
  const adapter = new FastifyAdapter({ ...options, skipMiddie: true });
  const fastify = adapter.getInstance() as unknown as FastifyInstance;
  if (tls !== null) {
    const server = fastify.server as unknown as TlsServer;
    followFiles(server, tls);
    endLateHandshakes(server);
    demandTls(fastify);
  }
  fastify.server.maxConnections = config.http.connectionsMax;
  const bodies = new BodyReader({
    bodyBytesMax: config.http.bodyBytesMax,
    jsonBytesMax: config.http.jsonBytesMax,
    heldBytesMax: LARGEST_BODIES_MAX * config.http.bodyBytesMax,
    readMsMax: BODY_READ_MS_MAX,
  });
  boundPipelines(fastify);
  traceRequests(fastify, tracing);
  readBodiesRaw(fastify, bodies, config.http.bodyBytesMax);
  holdBackExpected(fastify);
  answerHalfClosed(fastify);
  guardAgainstBrowsers(fastify, config);
  guardAccess(fastify, access, sessions);
  return adapter;
}

/**
 * Fastify below the application that a module is part of. A module may add hooks and plugins in `onModuleInit`, but must not
 * wait for a plugin: that would fix the error handler of all routes before Nest has set it.
 */
export function fastifyOf({ httpAdapter }: HttpAdapterHost): FastifyInstance {
  return (httpAdapter as FastifyAdapter).getInstance() as unknown as FastifyInstance;
}

/**
 * Handlers read the body themselves, as bytes or as a stream: Fastify's parsers cost a live request 40 us more, most of it
 * for a bound AsyncResource (Node 20).
 */
function readBodiesRaw(fastify: FastifyInstance, bodies: BodyReader, refusedBytesMax: number): void {
  fastify.removeAllContentTypeParsers();
  for (const method of fastify.supportedMethods) fastify.addHttpMethod(method, { hasBody: false, overrideExisting: true });
  fastify.decorate('bodies', bodies);
  fastify.decorateRequest('caller', null);
  fastify.decorateRequest('heldBodyBytes', 0);
  fastify.decorateRequest('refusedBytesMax', refusedBytesMax);
  fastify.decorateRequest('readBody', async function (this: FastifyRequest, reply: FastifyReply): Promise<Buffer> {
    const encoding = refuseUnreadable(this);
    const bytes = bodies.read(this, this.raw, () => callForBody(this, reply.raw));
    return encoding === null ? bytes : bodies.unpack(this, await bytes, encoding, () => reply.raw.destroyed);
  });
  fastify.decorateRequest('holdBytes', function (this: FastifyRequest, bytes: number): void {
    const isGone = this.live?.hangUp.aborted === true;
    const refusal = isGone ? new InterleaveError('client_closed', 'The caller hung up') : bodies.holdMore(this, bytes);
    if (refusal) throw refusal;
  });
  fastify.addHook('onRequest', (request, reply, done) => {
    reply.header('x-request-id', request.id);
    reply.header('x-content-type-options', 'nosniff');
    // Fastify's onResponse would miss callers that hang up.
    reply.raw.once('close', () => bodies.release(request));
    done();
  });
}

/** Some Triton clients send no Content-Type, and curl that of a form where it is told nothing: `browser-guard` knows forms of other sites. */
function refuseUnreadable(request: FastifyRequest): ContentEncoding | null {
  const type = mediaType(request.headers);
  const isReadable = type === '' || READABLE.has(type) || (type === CURL_DEFAULT && takesForm(request));
  if (!isReadable) throw unsupportedMediaType(type);
  refuseTransferEncoded(request.headers);
  return contentEncoding(request.headers);
}

/** Live routes, paths of Triton's, and the login page. */
function takesForm({ live, url, routeOptions }: FastifyRequest): boolean {
  return live !== null || url.startsWith('/v2/') || routeOptions.config.takesForm === true;
}

/** A base URL that ends in a slash gives `//v1`, and collections are asked for with a slash at the end. */
function plainPath(url: string): string {
  const end = url.indexOf('?');
  const path = end < 0 ? url : url.slice(0, end);
  if (!path.startsWith('/') || (!path.includes('//') && !path.endsWith('/'))) return url;
  const plain = path.replace(/\/{2,}/g, '/');
  return (plain.length > 1 && plain.endsWith('/') ? plain.slice(0, -1) : plain) + url.slice(path.length);
}

function requestId(raw: { headers: IncomingMessage['headers'] }): string {
  const given = raw.headers['x-request-id'];
  return typeof given === 'string' && REQUEST_ID.test(given) ? given : `req_${randomUUID()}`;
}

/** Answers what is no HTTP request, or came too slowly, and closes the connection. */
function answerUnreadable(error: Error & { code?: string }, socket: Socket): void {
  if (error.code === 'ERR_SSL_HTTP_REQUEST')
    answerWithoutTls(socket, errorText('400 Bad Request', 'This port speaks https; call it with an https URL'));
  if (error.code === 'ECONNRESET' || !socket.writable) {
    socket.destroy();
    return;
  }
  const [status, message] =
    error.code === 'HPE_HEADER_OVERFLOW'
      ? ['431 Request Header Fields Too Large', `The headers are over the limit of ${HEADER_BYTES_MAX} bytes`]
      : error.code === 'ERR_HTTP_REQUEST_TIMEOUT'
        ? ['408 Request Timeout', 'The request did not arrive in time']
        : ['400 Bad Request', 'This is not a valid HTTP request'];
  socket.end(errorText(status, message));
}

function errorText(status: string, message: string): string {
  const body = JSON.stringify({ error: message });
  return `HTTP/1.1 ${status}\r\nContent-Type: application/json; charset=utf-8\r\nContent-Length: ${Buffer.byteLength(body)}\r\nConnection: close\r\n\r\n${body}`;
}

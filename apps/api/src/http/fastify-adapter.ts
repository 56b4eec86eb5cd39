import { randomUUID } from 'node:crypto';
import type { IncomingMessage, Server } from 'node:http';
import type { Socket } from 'node:net';
import { InterleaveError } from '@app/contracts';
import type { Config } from '@app/config';
import { joinOrganisation } from '@app/protocols';
import { FastifyAdapter } from '@nestjs/platform-fastify';
import type { FastifyHttpOptions, FastifyInstance, FastifyRequest } from 'fastify';
import { BodyReader } from './body-reader';
import { mediaType } from './media-type';
import { answerError, asInterleaveError, unsupportedMediaType } from './error-answer';

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
const REQUEST_ID = /^[\x21-\x7e]{1,128}$/;

/** Fastify with our limits, body handling, request ids and error shapes; nothing of it logs a request. */
export function createFastifyAdapter(config: Config): FastifyAdapter {
  const options: FastifyHttpOptions<Server> = {
    http: { headersTimeout: HEADERS_MS_MAX, maxHeaderSize: HEADER_BYTES_MAX, connectionsCheckingInterval: CONNECTIONS_CHECK_MS },
    requestTimeout: UPLOAD_MS_MAX,
    keepAliveTimeout: KEEP_ALIVE_MS,
    // While draining, requests on connections that are already open are still answered.
    return503OnClosing: false,
    routerOptions: { maxParamLength: PATH_PARAMETER_CHARACTERS_MAX },
    rewriteUrl: ({ url = '' }) => joinOrganisation(url),
    genReqId: requestId,
    requestIdHeader: false,
    frameworkErrors: (error, request, reply) => answerError(asInterleaveError(error), request, reply),
    clientErrorHandler: answerUnreadable,
  };
  // Middleware would cost every request a walk; there is none.
  const adapter = new FastifyAdapter({ ...options, skipMiddie: true });
  const fastify = adapter.getInstance() as unknown as FastifyInstance;
  fastify.server.maxConnections = config.http.connectionsMax;
  const bodies = new BodyReader({
    bodyBytesMax: config.http.bodyBytesMax,
    heldBytesMax: LARGEST_BODIES_MAX * config.http.bodyBytesMax,
    readMsMax: BODY_READ_MS_MAX,
  });
  readBodiesRaw(fastify, bodies);
  return adapter;
}

/**
 * Handlers read the body themselves, as bytes or as a stream: Fastify's parsers cost a live request 40 us more, most of it
 * for a bound AsyncResource (Node 20).
 */
function readBodiesRaw(fastify: FastifyInstance, bodies: BodyReader): void {
  fastify.removeAllContentTypeParsers();
  for (const method of fastify.supportedMethods) fastify.addHttpMethod(method, { hasBody: false, overrideExisting: true });
  fastify.decorateRequest('heldBodyBytes', 0);
  fastify.decorateRequest('isBodyCutOff', false);
  fastify.decorateRequest('readBody', async function (this: FastifyRequest): Promise<Buffer> {
    refuseUnreadable(this);
    return bodies.read(this, this.raw);
  });
  fastify.addHook('onRequest', (request, reply, done) => {
    reply.header('x-request-id', request.id);
    reply.header('x-content-type-options', 'nosniff');
    // Fastify's onResponse would miss callers that hang up.
    reply.raw.once('close', () => bodies.release(request));
    done();
  });
}

/** Some Triton clients send no Content-Type. */
function refuseUnreadable(request: FastifyRequest): void {
  const type = mediaType(request.headers);
  if (type !== '' && !READABLE.has(type)) throw unsupportedMediaType(type);
  const encoding = request.headers['content-encoding'];
  if (encoding === undefined || encoding === 'identity') return;
  throw new InterleaveError('unsupported_media_type', `Content-Encoding: expected none, received ${encoding}; send the body uncompressed`);
}

function requestId(raw: { headers: IncomingMessage['headers'] }): string {
  const given = raw.headers['x-request-id'];
  return typeof given === 'string' && REQUEST_ID.test(given) ? given : `req_${randomUUID()}`;
}

/** Answers what is no HTTP request, or came too slowly, and closes the connection. */
function answerUnreadable(error: Error & { code?: string }, socket: Socket): void {
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
  const body = JSON.stringify({ error: message });
  socket.end(
    `HTTP/1.1 ${status}\r\nContent-Type: application/json; charset=utf-8\r\nContent-Length: ${Buffer.byteLength(body)}\r\nConnection: close\r\n\r\n${body}`,
  );
}

import type { Server, ServerResponse } from 'node:http';
import type { Socket } from 'node:net';
import type { FastifyInstance } from 'fastify';
import { onConnection } from './connections';

/** Most answers are there before that. */
const PROBE_AFTER_MS = 100;
const PROBE_EVERY_MS = 25;
const PROBES = 2;

/**
 * Answers callers that close their side of the connection when they have sent the request. Those who have gone altogether
 * look the same until something is sent to them: where an answer takes longer, an interim `100 Continue`, which every
 * client of HTTP/1.1 skips, finds out; their response then closes, as it does for others that hang up.
 */
export function answerHalfClosed(fastify: FastifyInstance): void {
  // Node has had this property since 0.5, undocumented.
  (fastify.server as Server & { httpAllowHalfOpen: boolean }).httpAllowHalfOpen = true;
  const answering = new WeakMap<Socket, ServerResponse>();
  onConnection(fastify, (socket) => {
    // Over TLS not the default, and not before: a caller that goes during the handshake has gone.
    socket.allowHalfOpen = true;
    socket.once('end', () => setTimeout(() => probe(answering.get(socket), PROBES), PROBE_AFTER_MS).unref());
  });
  fastify.addHook('onRequest', (request, reply, done) => {
    answering.set(request.socket, reply.raw);
    done();
  });
}

/** The first one makes a caller's system that knows the connection no more say so; the second one finds that out. */
function probe(response: ServerResponse | undefined, left: number): void {
  if (left === 0 || response === undefined || response.headersSent || response.destroyed || response.req.httpVersion === '1.0') return;
  response.writeContinue();
  setTimeout(() => probe(response, left - 1), PROBE_EVERY_MS).unref();
}

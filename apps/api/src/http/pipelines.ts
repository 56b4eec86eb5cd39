import type { ServerResponse } from 'node:http';
import type { Socket } from 'node:net';
import type { FastifyInstance } from 'fastify';
import { onConnection } from './connections';

/** Requests of one connection that are not answered yet. Clients that send the next one early send few. */
const UNANSWERED_MAX = 64;

/**
 * Bounds what callers send on one connection without waiting for answers, and says of all of it when the connection has
 * gone: of node's responses only the one that is being written then closes, so what the others hold would be held for
 * ever. Call it before other hooks that look at requests.
 */
export function boundPipelines(fastify: FastifyInstance): void {
  const connections = new WeakMap<Socket, Set<ServerResponse>>();
  onConnection(fastify, (socket) => {
    const unanswered = new Set<ServerResponse>();
    connections.set(socket, unanswered);
    socket.once('close', () => {
      for (const response of unanswered) if (response.socket === null) response.emit('close');
    });
  });
  fastify.addHook('onRequest', ({ socket }, reply, done) => {
    const unanswered = connections.get(socket);
    if (unanswered === undefined) return done(); // injected by a test
    unanswered.add(reply.raw);
    reply.raw.once('close', () => unanswered.delete(reply.raw));
    if (unanswered.size <= UNANSWERED_MAX && !socket.destroyed) return done();
    reply.hijack();
    socket.destroy();
  });
}

import type { Socket } from 'node:net';
import { Server as TlsServer } from 'node:tls';
import type { FastifyInstance } from 'fastify';

/** Calls back with each new connection: the socket that its requests name. */
export function onConnection({ server }: FastifyInstance, listener: (socket: Socket) => void): void {
  const isTls = (server as object) instanceof TlsServer;
  server.on(isTls ? 'secureConnection' : 'connection', listener);
}

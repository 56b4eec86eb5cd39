import type { FastifyInstance } from 'fastify';
import { isLoopbackName } from './host-names';

const YEAR_SECONDS = 365 * 24 * 3600;
const POLICY = `max-age=${YEAR_SECONDS}`;

/**
 * Browsers then call this node by TLS only. Not under a name of the loopback: that would bind every other server on the
 * machine of a developer. Call it before hooks that answer.
 */
export function demandTls(fastify: FastifyInstance): void {
  fastify.addHook('onRequest', ({ headers }, reply, done) => {
    if (!isLoopbackName(headers.host)) reply.header('strict-transport-security', POLICY);
    done();
  });
}

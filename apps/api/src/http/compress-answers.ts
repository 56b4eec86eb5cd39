import { constants, deflate, gzip } from 'node:zlib';
import type { FastifyInstance, FastifyReply } from 'fastify';
import { wantedEncoding } from './content-encoding';

/** The fastest: callers wait for it. */
const OPTIONS = { level: constants.Z_BEST_SPEED };

/** Compresses answers of `bytesMin` and more for callers that ask for it, on the thread pool; streams stay as they are. */
export function compressAnswers(fastify: FastifyInstance, bytesMin: number): void {
  fastify.addHook('onSend', (request, reply, payload: unknown, done) => {
    const bytes = lengthOf(payload);
    if (bytes === 0 || reply.hasHeader('content-encoding')) return done();
    const accepted = request.headers['accept-encoding'];
    const { encoding, required } = typeof accepted === 'string' ? wantedEncoding(accepted) : { encoding: null, required: false };
    if (bytes < bytesMin && !required) return done();
    varyByEncoding(reply);
    if (encoding === null) return done();
    const compress = encoding === 'gzip' ? gzip : deflate;
    return compress(payload as string | Buffer, OPTIONS, (error, compressed) => {
      // Without memory for it the answer goes as it is.
      if (error) return done();
      void reply.header('content-encoding', encoding).removeHeader('content-length');
      return done(null, compressed);
    });
  });
}

/** 0: not known, as of a stream. */
function lengthOf(payload: unknown): number {
  if (typeof payload === 'string') return payload.length;
  return Buffer.isBuffer(payload) ? payload.byteLength : 0;
}

function varyByEncoding(reply: FastifyReply): void {
  const vary = reply.getHeader('vary');
  void reply.header('vary', vary === undefined ? 'accept-encoding' : `${String(vary)}, accept-encoding`);
}

import type { IncomingMessage, OutgoingHttpHeaders, ServerResponse } from 'node:http';
import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify';

declare module 'fastify' {
  interface FastifyRequest {
    /** So much of a body is read and dropped after a refusal: what would have been read, had it been accepted. */
    refusedBytesMax: number;
  }
}

/** Without a byte for so long a sender is taken to be waiting for nothing. */
const IDLE_MS_MAX = 5_000;
const DRAIN_MS_MAX = 600_000;
/** Callers that send their body only when they are told to (`Expect: 100-continue`). */
const waiting = new WeakSet<IncomingMessage>();

/** Lets handlers decide whether a body that was announced with `Expect: 100-continue` is sent at all. */
export function holdBackExpected(fastify: FastifyInstance): void {
  fastify.server.on('checkContinue', (request: IncomingMessage, response: ServerResponse) => {
    waiting.add(request);
    fastify.server.emit('request', request, response);
  });
}

/** Call before reading a body. */
export function callForBody({ raw }: FastifyRequest, reply: ServerResponse): void {
  if (waiting.delete(raw)) reply.writeContinue();
}

/** Whether some of the body is still to come. */
export function isBodyPending({ raw }: FastifyRequest): boolean {
  return (
    !raw.complete && !raw.destroyed && (raw.headers['transfer-encoding'] !== undefined || Number(raw.headers['content-length'] ?? 0) > 0)
  );
}

/**
 * Answers while the body is still coming. Many clients read nothing before they have sent everything, and lose an answer
 * that is followed by the end of the connection: so the answer is sent at once and as a whole, then the body is dropped
 * as it comes, up to `refusedBytesMax`. Past that, and for bodies of unknown length, the connection ends.
 */
export function answerEarly(request: FastifyRequest, reply: FastifyReply, status: number, text: string): void {
  const { raw } = reply;
  const isHeldBack = waiting.delete(request.raw);
  const isBounded = Number(request.headers['content-length'] ?? Infinity) <= request.refusedBytesMax;
  const headers: OutgoingHttpHeaders = { ...(reply.getHeaders() as OutgoingHttpHeaders), 'content-length': Buffer.byteLength(text) };
  const willClose = isHeldBack || !isBounded;
  reply.hijack();
  raw.writeHead(status, willClose ? { ...headers, connection: 'close' } : headers);
  if (isHeldBack) {
    raw.end(text);
    return;
  }
  raw.write(text);
  drop(request.raw, request.refusedBytesMax, (isWhole) => {
    raw.end(() => {
      if (!isWhole) request.raw.socket.destroySoon();
    });
  });
}

/** Reads and drops; `whole`: the end came before the limits. */
function drop(body: IncomingMessage, bytesMax: number, done: (isWhole: boolean) => void): void {
  let bytes = 0;
  const finish = () => {
    clearTimeout(idle);
    clearTimeout(total);
    body.off('data', onData).off('end', finish).off('close', finish).off('error', finish);
    done(body.complete);
  };
  const onData = (part: Buffer) => {
    bytes += part.length;
    idle.refresh();
    if (bytes > bytesMax) finish();
  };
  const idle = setTimeout(finish, IDLE_MS_MAX);
  const total = setTimeout(finish, DRAIN_MS_MAX);
  body.unpipe();
  body.on('data', onData).on('end', finish).on('close', finish).on('error', finish).resume();
}

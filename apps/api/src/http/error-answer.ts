import { ERRORS, InterleaveError, type ErrorCode } from '@app/contracts';
import { errorBody } from '@app/protocols';
import type { FastifyReply, FastifyRequest } from 'fastify';
import { answerEarly, isBodyPending } from './early-answer';
import { noteFailure } from '../live/timing-note';
import { errorStyle } from './error-style';

/** What a framework's error may carry. */
interface ForeignError {
  message?: unknown;
  code?: unknown;
  statusCode?: unknown;
  status?: unknown;
}

/** Sends the error in the shape of the protocol that the path belongs to. */
export function answerError(error: InterleaveError, request: FastifyRequest, reply: FastifyReply): void {
  if (request.live) {
    request.live.errorCode = error.code;
    noteFailure(request.live);
  }
  if (reply.sent || reply.raw.headersSent) {
    reply.raw.destroy();
    return;
  }
  if (error.waitSeconds !== null) reply.header('retry-after', String(error.waitSeconds));
  // Errors of the framework come before any hook.
  reply.header('x-request-id', request.id);
  if (request.live) reply.headers(request.live.notes);
  reply.header('content-type', 'application/json; charset=utf-8');
  const text = JSON.stringify(errorBody(errorStyle(request.url), error));
  if (isBodyPending(request)) answerEarly(request, reply, error.status, text);
  else reply.code(error.status).send(text);
}

/** Errors of Fastify and Nest in our terms; anything else is `internal` with the original as cause. */
export function asInterleaveError(error: unknown): InterleaveError {
  if (error instanceof InterleaveError) return error;
  const foreign = (typeof error === 'object' && error !== null ? error : {}) as ForeignError;
  const status = Number(foreign.statusCode ?? foreign.status);
  if (!(status >= 400 && status < 500))
    return new InterleaveError('internal', 'Internal error; its details are in the log of this server', { cause: error });
  if (foreign.code === 'FST_ERR_MAX_PARAM_LENGTH') return new InterleaveError('not_found', 'A name in the path is too long');
  if (status === 415) return unsupportedMediaType('something else');
  return new InterleaveError(codeOfStatus(status), String(foreign.message), { cause: error });
}

export function unsupportedMediaType(received: string): InterleaveError {
  return new InterleaveError(
    'unsupported_media_type',
    `Content-Type: expected application/json, or application/octet-stream for binary tensors, received ${received}`,
  );
}

function codeOfStatus(status: number): ErrorCode {
  if (status === 404) return 'not_found';
  const entry = Object.entries(ERRORS).find(([, { status: known }]) => known === status);
  return entry ? (entry[0] as ErrorCode) : 'invalid_request';
}

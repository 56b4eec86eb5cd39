import type { FastifyRequest } from 'fastify';
import { unsupportedMediaType } from './error-answer';

const EMPTY = Buffer.alloc(0);

/** The whole body as it came, empty without one. Throws `unsupported_media_type` for the types of uploads, which are not read as a whole. */
export function bodyBytes(request: FastifyRequest): Buffer {
  if (Buffer.isBuffer(request.body)) return request.body;
  if (request.isMultipart() || (request.body ?? null) !== null) throw unsupportedMediaType(request.headers['content-type'] ?? 'none');
  return EMPTY;
}

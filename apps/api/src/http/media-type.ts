import type { FastifyRequest } from 'fastify';

/** The Content-Type without its parameters, in lower case; empty when there is none. */
export function mediaType({ headers }: FastifyRequest): string {
  return (headers['content-type']?.split(';', 1)[0] ?? '').trim().toLowerCase();
}

import type { IncomingHttpHeaders } from 'node:http';

/** The Content-Type without its parameters, in lower case; empty when there is none. */
export function mediaType(headers: IncomingHttpHeaders): string {
  return (headers['content-type']?.split(';', 1)[0] ?? '').trim().toLowerCase();
}

import type { IncomingHttpHeaders } from 'node:http';
import { InterleaveError } from '@app/contracts';

/** What bodies may be compressed with, both ways. */
export type ContentEncoding = 'gzip' | 'deflate';

const SHOWN_CHARACTERS_MAX = 64;

/** How a body is compressed; null: not at all. Throws `unsupported_media_type` for anything else, two encodings among it. */
export function contentEncoding(headers: IncomingHttpHeaders): ContentEncoding | null {
  const value = headers['content-encoding'];
  if (value === undefined) return null;
  const encoding = value.trim().toLowerCase();
  if (encoding === '' || encoding === 'identity') return null;
  if (encoding === 'gzip' || encoding === 'x-gzip') return 'gzip';
  if (encoding === 'deflate') return 'deflate';
  throw new InterleaveError(
    'unsupported_media_type',
    `Content-Encoding: expected one of gzip and deflate, or none, received ${encoding.slice(0, SHOWN_CHARACTERS_MAX)}; send the body uncompressed or in one of these`,
  );
}

/**
 * How the caller wants an answer compressed (RFC 9110 §12.5.3); null: not at all. `required`: the caller refuses an answer
 * that is not. An encoding that the caller does not weigh is as welcome as any.
 */
export function wantedEncoding(acceptEncoding: string): { encoding: ContentEncoding | null; required: boolean } {
  const weights = new Map(acceptEncoding.split(',').map(weighed));
  const weightOf = (name: string): number => weights.get(name) ?? weights.get('*') ?? 0;
  const gzip = Math.max(weightOf('gzip'), weights.get('x-gzip') ?? 0);
  const deflate = weightOf('deflate');
  const identity = weights.get('identity') ?? (weights.get('*') === 0 ? 0 : null);
  const best = Math.max(gzip, deflate);
  if (best === 0 || (identity !== null && identity > best)) return { encoding: null, required: false };
  return { encoding: gzip === best ? 'gzip' : 'deflate', required: identity === 0 };
}

function weighed(part: string): [string, number] {
  const [name = '', ...parameters] = part.split(';').map((text) => text.trim().toLowerCase());
  const weight = parameters.find((parameter) => parameter.startsWith('q='));
  if (weight === undefined) return [name, 1];
  // What is no weight asks for nothing.
  return [name, /^q=(0(\.\d{0,3})?|1(\.0{0,3})?)$/.test(weight) ? Number(weight.slice(2)) : 0];
}

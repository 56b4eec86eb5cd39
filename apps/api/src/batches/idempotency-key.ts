import type { IncomingHttpHeaders } from 'node:http';
import { InterleaveError } from '@app/contracts';

/** A string of structured fields, or what most clients send: the text without its quotes. */
const KEY = /^(?:"([\x20-\x21\x23-\x5b\x5d-\x7e]{1,255})"|([\x21\x23-\x7e]{1,255}))$/;

/** The request's `Idempotency-Key`; null: it has none. Throws `invalid_request`. */
export function idempotencyKey(headers: IncomingHttpHeaders): string | null {
  const header = headers['idempotency-key'];
  if (header === undefined) return null;
  const [, quoted, plain] = KEY.exec(String(header)) ?? [];
  const key = quoted ?? plain;
  if (key !== undefined) return key;
  throw new InterleaveError(
    'invalid_request',
    `Idempotency-Key: expected 1 to 255 visible characters, such as a UUID, but received ${JSON.stringify(String(header).slice(0, 80))}`,
    { param: 'Idempotency-Key' },
  );
}

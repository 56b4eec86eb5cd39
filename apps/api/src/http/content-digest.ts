import { createHash, timingSafeEqual, type Hash } from 'node:crypto';
import type { IncomingMessage } from 'node:http';
import { finished } from 'node:stream/promises';
import { InterleaveError } from '@app/contracts';

const HEADER_CHARS_MAX = 1024;
/** By their names in the header; the others of its registry are broken or not in use. */
const ALGORITHMS: Readonly<Record<string, string>> = { 'sha-256': 'sha256', 'sha-512': 'sha512' };
/** A member of the dictionary: a name and a byte sequence of RFC 9651. */
const MEMBER = /^([a-z*][a-z0-9_.*-]*)=:([A-Za-z0-9+/]+={0,2}):$/;

/**
 * `Content-Digest` (RFC 9530) of a body that is read as a stream: the digest of the bytes as they come, of a form with what is around
 * its file. One per request.
 */
export class ContentDigest {
  private constructor(
    private readonly body: IncomingMessage,
    private readonly expected: readonly { name: string; digest: Buffer; hash: Hash }[],
  ) {}

  /** Call right before the body is read. Null: the request has none. Throws `invalid_request` for one that cannot be checked. */
  static follow(body: IncomingMessage): ContentDigest | null {
    const header = body.headers['content-digest'];
    if (header === undefined) return null;
    const digest = new ContentDigest(body, parse(String(header)));
    // Paused: who reads the body is still to come, and to listen would make it flow.
    body.pause();
    body.on('data', (part: Buffer) => {
      for (const { hash } of digest.expected) hash.update(part);
    });
    return digest;
  }

  /** Call once what is wanted of the body has been read. Rejects with `invalid_request`. */
  async check(): Promise<void> {
    this.body.resume();
    if (!this.body.readableEnded) await finished(this.body, { writable: false });
    for (const { name, digest, hash } of this.expected) {
      const received = hash.digest();
      if (received.length === digest.length && timingSafeEqual(received, digest)) continue;
      throw invalidDigest(`the body has ${name}=:${received.toString('base64')}:; nothing of it is kept, send it again`);
    }
  }
}

function parse(header: string): { name: string; digest: Buffer; hash: Hash }[] {
  if (header.length > HEADER_CHARS_MAX) throw invalidDigest(`expected at most ${HEADER_CHARS_MAX} characters`);
  const digests = header.split(',').map((member) => {
    const [, name, value] = MEMBER.exec(member.trim()) ?? [];
    if (name === undefined || value === undefined)
      throw invalidDigest(`expected "sha-256=:<base64>:" but received ${JSON.stringify(header.slice(0, 100))}`);
    return { name, digest: Buffer.from(value, 'base64'), algorithm: ALGORITHMS[name] };
  });
  const known = digests.flatMap(({ name, digest, algorithm }) =>
    algorithm === undefined ? [] : [{ name, digest, hash: createHash(algorithm) }],
  );
  if (known.length === 0) throw invalidDigest(`expected sha-256 or sha-512 but received ${digests.map(({ name }) => name).join(', ')}`);
  return known;
}

const invalidDigest = (reason: string): InterleaveError =>
  new InterleaveError('invalid_request', `Content-Digest: ${reason}`, { param: 'Content-Digest' });

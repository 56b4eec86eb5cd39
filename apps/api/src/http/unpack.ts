import { createGunzip, createInflate, type Gunzip, type Inflate } from 'node:zlib';
import { InterleaveError } from '@app/contracts';
import type { ContentEncoding } from './content-encoding';

/** Of what a body unpacks to, so much is not compared with its length: short texts of one character pack very well. */
const FREE_BYTES = 1024 * 1024;
/** Deflate reaches 1032. */
const RATIO_MAX = 256;
const PART_BYTES = 64 * 1024;

/**
 * What a compressed body unpacks to, on the thread pool, part by part. `hold` is told of each part before it is kept, and
 * returns why it is not: unpacking ends there. Rejects with that, with `too_large` for a body that unpacks to more than
 * RATIO_MAX times its length, and with `invalid_request` for what is no such stream, ends too early or goes on after its end.
 */
export function unpack(packed: Buffer, encoding: ContentEncoding, hold: (bytes: number) => InterleaveError | null): Promise<Buffer> {
  const options = { chunkSize: PART_BYTES };
  const stream = encoding === 'gzip' ? createGunzip(options) : createInflate(options);
  const bytesMax = FREE_BYTES + RATIO_MAX * packed.byteLength;
  return new Promise((resolve, reject) => {
    const parts: Buffer[] = [];
    let bytes = 0;
    const fail = (error: Error) => {
      stream.destroy();
      reject(error);
    };
    stream.on('data', (part: Buffer) => {
      bytes += part.byteLength;
      const refusal = bytes > bytesMax ? tooDense(packed.byteLength) : hold(part.byteLength);
      if (refusal) fail(refusal);
      else parts.push(part);
    });
    stream.on('error', () => fail(unreadable(stream, packed, encoding)));
    stream.on('end', () => {
      if (stream.bytesWritten === packed.byteLength) resolve(Buffer.concat(parts, bytes));
      else fail(unreadable(stream, packed, encoding));
    });
    stream.end(packed);
  });
}

function tooDense(packedBytes: number): InterleaveError {
  return new InterleaveError(
    'too_large',
    `Content-Encoding: expected a body that unpacks to at most ${RATIO_MAX} times its length but received ${packedBytes} bytes that unpack to more; send it uncompressed`,
  );
}

function unreadable({ bytesWritten }: Gunzip | Inflate, { byteLength }: Buffer, encoding: ContentEncoding): InterleaveError {
  const format = encoding === 'gzip' ? 'gzip data (RFC 1952)' : 'zlib data (RFC 1950)';
  // Where they begin is known only if the stream came to its end: zlib counts no bytes of a part at which it failed.
  const others = bytesWritten > 0 ? `other bytes from byte ${bytesWritten} on` : 'other bytes, in its place or after its end';
  const where = bytesWritten < byteLength ? others : 'a stream that ends too early';
  return new InterleaveError('invalid_request', `Content-Encoding: expected ${format} for ${encoding} but received ${where}`);
}

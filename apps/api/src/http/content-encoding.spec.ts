import { deflateRawSync, deflateSync, gzipSync } from 'node:zlib';
import { InterleaveError } from '@app/contracts';
import { contentEncoding, wantedEncoding } from './content-encoding';
import { unpack } from './unpack';

describe('contentEncoding', () => {
  it.each([
    [undefined, null],
    ['', null],
    [' Identity', null],
    ['GZIP', 'gzip'],
    ['x-gzip', 'gzip'],
    ['deflate ', 'deflate'],
  ])('understands %j', (value, encoding) => {
    expect(contentEncoding({ 'content-encoding': value })).toBe(encoding);
  });

  it.each(['br', 'zstd', 'gzip, gzip', 'gzip,deflate', 'compress', 'identity, gzip', 'gzip;q=1', 'x'.repeat(1000)])(
    'refuses %j and says what is taken',
    (value) => {
      const refusal = { code: 'unsupported_media_type', message: expect.stringMatching(/one of gzip and deflate.{0,160}$/) as string };
      expect(() => contentEncoding({ 'content-encoding': value })).toThrow(expect.objectContaining(refusal) as Error);
    },
  );
});

describe('wantedEncoding', () => {
  it.each([
    ['gzip', 'gzip', false],
    ['deflate', 'deflate', false],
    ['x-gzip', 'gzip', false],
    ['gzip, deflate, br, zstd', 'gzip', false],
    ['deflate;q=1.0, gzip;q=0.5', 'deflate', false],
    ['gzip;q=0, deflate', 'deflate', false],
    ['br, *', 'gzip', false],
    ['*;q=0.1, gzip;q=0', 'deflate', false],
    ['GZIP ; Q=0.001', 'gzip', false],
    ['gzip, identity;q=0', 'gzip', true],
    ['gzip, *;q=0', 'gzip', true],
    ['gzip;q=0.5, identity', null, false],
    ['gzip;q=0, deflate;q=0', null, false],
    ['br', null, false],
    ['', null, false],
    ['identity;q=0', null, false],
    ['gzip;q=2', null, false],
    ['gzip;q=', null, false],
  ])('reads %j', (header, encoding, required) => {
    expect(wantedEncoding(header)).toEqual({ encoding, required });
  });
});

describe('unpack', () => {
  const plain = Buffer.from('some words, some words, some words');
  const all = () => null;

  it.each([
    ['gzip', gzipSync(plain), plain],
    ['deflate', deflateSync(plain), plain],
    ['gzip', Buffer.concat([gzipSync(plain), gzipSync(plain)]), Buffer.concat([plain, plain])],
    ['gzip', gzipSync(''), Buffer.alloc(0)],
  ] as const)('gives what is in %s', async (encoding, packed, expected) => {
    expect(await unpack(packed, encoding, all)).toEqual(expected);
  });

  const gzipped = gzipSync(plain);
  it.each([
    ['garbage after it', 'gzip', Buffer.concat([gzipped, Buffer.from('garbage')]), /other bytes, in its place or after its end/],
    ['zeros after it', 'gzip', Buffer.concat([gzipped, Buffer.alloc(3)]), new RegExp(`other bytes from byte ${gzipped.length} on`)],
    ['the start of another after it', 'gzip', Buffer.concat([gzipped, gzipped.subarray(0, 5)]), /ends too early/],
    ['a byte after it', 'deflate', Buffer.concat([deflateSync(plain), Buffer.of(0)]), /other bytes from byte/],
    ['its end missing', 'gzip', gzipped.subarray(0, -1), /ends too early/],
    ['its end missing', 'deflate', deflateSync(plain).subarray(0, -2), /ends too early/],
    ['nothing', 'gzip', Buffer.alloc(0), /ends too early/],
    ['plain JSON', 'gzip', Buffer.from('{"inputs": []}'), /gzip data/],
    ['the other format', 'deflate', gzipped, /zlib data \(RFC 1950\)/],
    ['the other format', 'gzip', deflateSync(plain), /gzip data/],
    ['no zlib header', 'deflate', deflateRawSync(plain), /zlib data/],
    ['a wrong checksum', 'gzip', Buffer.from(gzipped).fill(0, gzipped.length - 8, gzipped.length - 4), /gzip data/],
    ['a dictionary', 'deflate', deflateSync(plain, { dictionary: Buffer.from('words') }), /zlib data/],
  ] as const)('refuses %s (%s)', async (_what, encoding, packed, message) => {
    const refusal = { code: 'invalid_request', message: expect.stringMatching(message) as string };
    await expect(unpack(packed, encoding, all)).rejects.toMatchObject(refusal);
  });

  it.each(['gzip', 'deflate'] as const)('stops early when %s unpacks to far more than it is', async (encoding) => {
    const bomb = (encoding === 'gzip' ? gzipSync : deflateSync)(Buffer.alloc(64 * 1024 * 1024));
    let held = 0;
    const hold = (bytes: number) => {
      held += bytes;
      return null;
    };
    await expect(unpack(bomb, encoding, hold)).rejects.toMatchObject({
      code: 'too_large',
      message: expect.stringMatching(/256 times/) as string,
    });
    expect(held).toBeLessThan(1024 * 1024 + 257 * bomb.length);
  });

  it('ends with the refusal of what it may hold', async () => {
    const refusal = new InterleaveError('overloaded', 'full');
    let calls = 0;
    const hold = () => (++calls === 2 ? refusal : null);
    await expect(unpack(gzipSync(Buffer.alloc(1024 * 1024)), 'gzip', hold)).rejects.toBe(refusal);
    expect(calls).toBe(2);
  });
});

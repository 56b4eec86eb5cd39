import fc from 'fast-check';
import { joinSmallParts } from './small-parts';

const added = (sizes: number[]): { parts: Buffer[]; bytes: Buffer } => {
  const parts: Buffer[] = [];
  const all = sizes.map((size, i) => Buffer.alloc(size, i));
  for (const part of all) {
    parts.push(part);
    joinSmallParts(parts);
  }
  return { parts, bytes: Buffer.concat(all) };
};

describe('joinSmallParts', () => {
  it('keeps the bytes and their order', () => {
    fc.assert(
      fc.property(fc.array(fc.constantFrom(0, 1, 2, 100, 4095, 4096, 9000), { maxLength: 300 }), (sizes) => {
        const { parts, bytes } = added(sizes);
        expect(Buffer.concat(parts).equals(bytes)).toBe(true);
      }),
    );
  });

  it.each([
    ['of one byte', () => 1],
    ['empty', () => 0],
    ['that grow smaller', (i: number) => 4095 - (i % 4095)],
    ['of one byte with a large one after each 63', (i: number) => (i % 64 === 63 ? 4096 : 1)],
    ['of one byte with a large one between them', (i: number) => (i % 2 === 0 ? 4096 : 1)],
  ])('holds few parts for their bytes: %s', (_name, sizeOf) => {
    const { parts, bytes } = added(Array.from({ length: 20_000 }, (_, i) => sizeOf(i)));
    expect(parts.length).toBeLessThan(64 + bytes.length / 1024);
  });

  it('leaves large parts as they are', () => {
    const large = Buffer.alloc(64 * 1024);
    const parts = [large, Buffer.alloc(1), large];
    joinSmallParts(parts);
    expect([parts[0], parts[2]]).toEqual([large, large]);
    expect(parts[2]).toBe(large);
  });
});

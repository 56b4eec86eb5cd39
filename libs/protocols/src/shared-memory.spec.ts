import { sharedOutput, type SharedMemory } from './shared-memory';

/** Three regions: `b` begins in the object of `a`, 8 bytes further on. */
const PLACES = new Map([
  ['a', { object: 'one', offset: 0 }],
  ['b', { object: 'one', offset: 8 }],
  ['c', { object: 'two', offset: 0 }],
]);
const memory: SharedMemory = {
  placeOf: ({ region, offset }) => {
    const place = PLACES.get(region);
    if (place === undefined) throw new Error(`no region ${region}`);
    return { object: place.object, offset: place.offset + offset };
  },
  read: () => new Uint8Array(),
  write: () => undefined,
};
const parameters = (region: string, offset: number, bytes: number) => ({
  shared_memory_region: region,
  shared_memory_offset: offset,
  shared_memory_byte_size: bytes,
});

describe('sharedOutput', () => {
  it.each([
    ['of one region', 'a', 0, 8, 'a', 4, 8],
    ['of two regions of one object', 'a', 4, 8, 'b', 0, 8],
    ['of two regions, the later one first', 'b', 0, 8, 'a', 0, 16],
  ])('refuses outputs that overlap: %s', (_what, ...[region, offset, bytes, otherRegion, otherOffset, otherBytes]) => {
    const shared = sharedOutput(parameters(region, offset, bytes), 'outputs[0]', memory, []);
    expect(() => sharedOutput(parameters(otherRegion, otherOffset, otherBytes), 'outputs[1]', memory, [{ shared }])).toThrow(
      /outputs apart from each other but outputs\[1\].*overlaps/,
    );
  });

  it.each([
    ['beside each other', 'a', 0, 8, 'b', 0, 8],
    ['in two objects', 'a', 0, 8, 'c', 0, 8],
  ])('takes outputs %s', (_what, ...[region, offset, bytes, otherRegion, otherOffset, otherBytes]) => {
    const shared = sharedOutput(parameters(region, offset, bytes), 'outputs[0]', memory, []);
    expect(sharedOutput(parameters(otherRegion, otherOffset, otherBytes), 'outputs[1]', memory, [{}, { shared }])).toMatchObject({
      region: otherRegion,
      offset: otherOffset,
      bytes: otherBytes,
    });
  });
});

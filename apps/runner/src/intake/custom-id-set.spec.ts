import { CustomIdSet } from './custom-id-set';

describe('CustomIdSet', () => {
  it('knows every string again, with the chunk it was in, and takes no two for one', () => {
    const count = 20_000;
    const ids = new CustomIdSet(count * 2);
    const suspects = { before: 0, after: 0 };
    for (let i = 0; i < count; i++) suspects.before += ids.add(`request-${i}`, i >> 9).length;
    for (let i = 0; i < count; i++) if (ids.add(`request-${i}`, 0).includes(i >> 9)) suspects.after += 1;
    // A false suspicion is expected once in some 100 000 runs; two would mean a bad hash.
    expect(suspects.before).toBeLessThanOrEqual(1);
    expect(suspects.after).toBe(count);
  });

  it('keeps short, similar and strange strings apart', () => {
    const ids = new CustomIdSet(70_000, 1);
    const strings = ['', ...Array.from({ length: 65_536 }, (_, unit) => String.fromCharCode(unit)), 'ab', 'ba', 'aa', 'aaa'];
    expect(strings.flatMap((text) => ids.add(text, 0))).toEqual([]);
  });
});

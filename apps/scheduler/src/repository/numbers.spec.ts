import { RevisionNumbers } from './numbers';

describe('numbers of revisions', () => {
  it('are one for each set of files, and never come back', () => {
    const first = new RevisionNumbers(undefined);
    const numbers = [
      first.numberOf('m', '1', 'a'),
      first.numberOf('m', '2', 'a'),
      first.numberOf('m', '1', 'b'),
      first.numberOf('m', '1', 'a'),
    ];
    expect(numbers).toEqual([1, 2, 3, 1]);
    first.renew('m', '1', 'a');
    expect(first.numberOf('m', '1', 'a')).toBe(4);
    const memory = { ...first.memory(({ fingerprint }) => fingerprint === 'a'), commanded: [] };
    expect(memory).toMatchObject({ lastRevision: 4 });
    const second = new RevisionNumbers(memory);
    expect([second.numberOf('m', '2', 'a'), second.numberOf('m', '1', 'b'), second.fingerprintOf(4), second.fingerprintOf(3)]).toEqual([
      2,
      5,
      'a',
      null,
    ]);
  });
});

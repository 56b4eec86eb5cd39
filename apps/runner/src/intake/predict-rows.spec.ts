import { paddingShare } from './predict-rows';

describe('paddingShare', () => {
  it('is nothing for rows of one length, or of a row alone', () => {
    expect([paddingShare([7, 7, 7], 16), paddingShare([1, 100], 1), paddingShare([], 16)]).toEqual([0, 0, 0]);
  });

  it('counts what rows of a run lack of its longest, runs being of similar rows', () => {
    expect(paddingShare([10, 1, 10, 1], 2)).toBe(0);
    expect(paddingShare([2, 10, 4, 8], 2)).toBeCloseTo(1 - 24 / 28);
    expect(paddingShare([0, 0], 2)).toBe(0);
  });
});

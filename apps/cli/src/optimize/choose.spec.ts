import { choose, objection, type Candidate, type Measured } from './choose';

const RULE = { cosineMin: 0.999, flipsMax: 0, differenceMax: 0.01 };
const AGREEMENT = { rows: 32, cosineMean: 1, cosineMin: 1, flips: 0, differenceMax: 0, failed: 0, isOfScores: false };

function candidate(kind: Candidate['kind'], measured: Partial<Measured> = {}): Candidate {
  return {
    kind,
    note: 'made',
    measured: {
      bytes: 1,
      speed: { msPerRow: [1] },
      speedup: 2,
      agreement: AGREEMENT,
      rows: 'merged (padded)',
      sharesRuns: true,
      isMergedSafely: true,
      company: [],
      ...measured,
    },
  };
}

const ORIGINAL = candidate('original', { speedup: null, agreement: null });

describe('the choice of a variant', () => {
  it('is the fastest to which there is no objection', () => {
    const choice = choose(
      [
        ORIGINAL,
        candidate('graph', { speedup: 1.2 }),
        candidate('int8-dynamic', { speedup: 1.9, sharesRuns: false }),
        candidate('fp16', { speedup: 3, isMergedSafely: false }),
      ],
      RULE,
    );
    expect(choice).toEqual({
      kind: 'int8-dynamic',
      reason: 'the fastest that answers alike: 1.90 times the speed, cosine at least 1.00000, 0 flips in 32 rows; its rows run alone',
    });
  });

  it('is the original where every variant is slower or answers otherwise', () => {
    expect(choose([ORIGINAL, candidate('graph', { speedup: 1.04 })], RULE).kind).toBe('original');
    expect(choose([ORIGINAL], RULE).kind).toBe('original');
  });

  it.each<[string, Partial<Measured>, RegExp]>([
    ['rows that change each other', { isMergedSafely: false }, /change each other/],
    ['an angle', { agreement: { ...AGREEMENT, cosineMin: 0.9989 } }, /least cosine is 0\.99890; expected at least 0\.999/],
    ['a label', { agreement: { ...AGREEMENT, cosineMin: null, flips: 1 } }, /1 of 32 answers are others/],
    ['a row without an answer', { agreement: { ...AGREEMENT, failed: 1, flips: 1 } }, /failed 1 of 32 rows/],
    ['scores', { agreement: { ...AGREEMENT, cosineMin: null, isOfScores: true, differenceMax: 0.02 } }, /scores differ by 0\.0200/],
    ['NaN for a cosine', { agreement: { ...AGREEMENT, cosineMin: NaN } }, /least cosine/],
    ['no rows', { agreement: { ...AGREEMENT, rows: 0 } }, /nothing was compared/],
    ['no speed', { speedup: null }, /could not be measured/],
  ])('objects to %s', (_what, measured, message) => {
    expect(objection(candidate('fp16', measured), RULE)).toMatch(message);
  });

  it('lets scores beside labels differ, and says why there is no variant', () => {
    expect(objection(candidate('fp16', { agreement: { ...AGREEMENT, cosineMin: null, differenceMax: 0.5 } }), RULE)).toBeNull();
    expect(objection({ kind: 'fp16', note: 'it has no FP32 weights', measured: null }, RULE)).toBe('it has no FP32 weights');
  });
});

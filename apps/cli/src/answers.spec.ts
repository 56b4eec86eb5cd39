import { differenceOf } from './answers';

describe('differenceOf', () => {
  it.each<[string, unknown, unknown]>([
    ['numbers within the tolerance', [1, 2], [1.009, 1.991]],
    [
      'labels with scores, whatever their order',
      [
        { label: 'a', score: 0.5 },
        { label: 'b', score: 0.499 },
      ],
      [
        { label: 'b', score: 0.501 },
        { label: 'a', score: 0.499 },
      ],
    ],
    ['integers past 2^53', 2n ** 60n, 2n ** 60n],
    ['texts, nothing and nested values', { a: ['x', null, true] }, { a: ['x', null, true] }],
  ])('finds none in %s', (_what, expected, actual) => {
    expect(differenceOf(expected, actual, 0.01)).toBeNull();
  });

  it.each<[string, unknown, unknown, string]>([
    ['a number', { y: [1, 2] }, { y: [1, 2.02] }, 'answer.y[1]: expected 2 but received 2.02'],
    ['NaN', 1, NaN, 'answer: expected 1 but received null'],
    ['a length', [1], [1, 2], 'answer: expected 1 elements but received 2'],
    ['another label', [{ label: 'a', score: 1 }], [{ label: 'b', score: 1 }], 'answer["a"]: expected 1 but received nothing'],
    [
      'a list with one label twice',
      [{ label: 'a', score: 1 }],
      [
        { label: 'a', score: 1 },
        { label: 'a', score: 1 },
      ],
      'answer: expected 1 elements but received 2',
    ],
    ['a key more', {}, { y: 1 }, 'answer.y: expected nothing but received 1'],
    ['a key less', { y: 1 }, {}, 'answer.y: expected 1 but received nothing'],
    ['an integer past 2^53', 2n ** 60n, 2n ** 60n + 1n, `answer: expected "${2n ** 60n}" but received "${2n ** 60n + 1n}"`],
    ['a long text', 'x', 'y'.repeat(200), `answer: expected "x" but received "${'y'.repeat(79)}…`],
  ])('names %s', (_what, expected, actual, difference) => {
    expect(differenceOf(expected, actual, 0.01)).toBe(difference);
  });
});

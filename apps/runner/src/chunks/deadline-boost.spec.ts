import { deadlineBoost } from './deadline-boost';

describe('deadlineBoost', () => {
  it.each([
    ['in time', { rowsLeft: 100, rowsPerSecond: 10, secondsLeft: 20 }, 1],
    ['twice too slow', { rowsLeft: 400, rowsPerSecond: 10, secondsLeft: 20 }, 2],
    ['hopeless', { rowsLeft: 1e9, rowsPerSecond: 10, secondsLeft: 20 }, 8],
    ['over its time', { rowsLeft: 100, rowsPerSecond: 10, secondsLeft: -5 }, 8],
    ['of unknown pace', { rowsLeft: 100, rowsPerSecond: 0, secondsLeft: 1 }, 1],
    ['done', { rowsLeft: 0, rowsPerSecond: 1, secondsLeft: 0 }, 1],
  ])('a batch that is %s', (_what, pace, expected) => {
    expect(deadlineBoost(pace)).toBe(expected);
  });
});

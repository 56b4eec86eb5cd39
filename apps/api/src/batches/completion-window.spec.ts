import { windowSeconds } from './completion-window';

describe('windowSeconds', () => {
  it.each([
    ['1m', 60],
    ['90m', 5_400],
    ['24h', 86_400],
    ['7d', 604_800],
    ['30d', 2_592_000],
    ['43200m', 2_592_000],
  ])('takes %s', (window, seconds) => {
    expect(windowSeconds(window)).toBe(seconds);
  });

  it.each(['', '0m', '00h', '31d', '43201m', '24', '24H', '1.5h', '-1h', '1h30m', ' 24h', '24h\n', '999999h', 24, null, undefined])(
    'refuses %j',
    (window) => {
      expect(windowSeconds(window)).toBeNull();
    },
  );
});

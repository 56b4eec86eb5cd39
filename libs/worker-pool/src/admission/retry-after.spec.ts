import { overloaded, RETRY_AFTER_SECONDS_MAX } from './retry-after';

describe('overloaded', () => {
  it.each([
    [NaN, 1],
    [-5, 1],
    [0, 1],
    [1000, 1],
    [1001, 2],
    [59_000.5, 60],
    [61_000, RETRY_AFTER_SECONDS_MAX],
    [Infinity, RETRY_AFTER_SECONDS_MAX],
  ])('asks to wait whole seconds within bounds: %s ms', (waitMs, seconds) => {
    expect(overloaded('Full', waitMs, ', or allow more time')).toMatchObject({
      code: 'overloaded',
      retryAfterSeconds: seconds,
      message: `Full; try again in ${seconds} s, or allow more time`,
    });
  });
});

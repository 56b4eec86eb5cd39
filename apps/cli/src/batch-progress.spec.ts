import { duration, isOver, RateMeter } from './batch-progress';

describe('batch progress', () => {
  it('knows no rate before the second sample', () => {
    expect(new RateMeter().add(5, 1000)).toBeNull();
  });

  it('counts rows per second over the last stretch only', () => {
    const rate = new RateMeter();
    rate.add(0, 0);
    expect(rate.add(100, 10_000)).toBe(10);
    expect(rate.add(600, 20_000)).toBe(50);
  });

  it.each([
    [0.2, '0:01'],
    [61, '1:01'],
    [3725, '1:02:05'],
  ])('writes %d seconds as %s', (seconds, text) => expect(duration(seconds)).toBe(text));

  it('is over in the four final states only', () => {
    const states = ['validating', 'failed', 'in_progress', 'finalizing', 'completed', 'expired', 'cancelling', 'cancelled'] as const;
    expect(states.filter((status) => isOver({ status }))).toEqual(['failed', 'completed', 'expired', 'cancelled']);
  });
});

import { RateMeter } from './rate-meter';

describe('RateMeter', () => {
  it('knows no rate before the second sample', () => {
    expect(new RateMeter().add(5, 1000)).toBeNull();
  });

  it('counts rows per second over the last stretch only', () => {
    const rate = new RateMeter();
    rate.add(0, 0);
    expect(rate.add(100, 10_000)).toBe(10);
    expect(rate.add(600, 20_000)).toBe(50);
  });
});

import { RestartPolicy } from './restart-policy';

const timings = { backoffMinMs: 100, backoffMaxMs: 10_000, healthyMs: 30_000 };

describe('restart policy', () => {
  it('doubles the delay from 100 ms to 10 s', () => {
    const policy = new RestartPolicy(timings, () => 0);
    const delays = Array.from({ length: 9 }, () => policy.ended(false).delayMs);
    expect(delays).toEqual([100, 200, 400, 800, 1600, 3200, 6400, 10_000, 10_000]);
  });

  it('lets nobody wait for a worker that died of one model', () => {
    const policy = new RestartPolicy(timings, () => 0);
    expect(Array.from({ length: 6 }, () => policy.ended(true).delayMs)).toEqual([100, 100, 100, 100, 100, 100]);
    expect(policy.ended(false).delayMs).toBe(6400);
  });

  it('begins again with the shortest delay after 30 s of health, not before', () => {
    let nowMs = 0;
    const policy = new RestartPolicy(timings, () => nowMs);
    policy.ended(false);
    policy.ended(false);
    const liveFor = (ms: number) => {
      policy.started();
      policy.answered();
      nowMs += ms;
      policy.answered();
      return policy.ended(false).delayMs;
    };
    expect(liveFor(29_999)).toBe(400);
    expect(liveFor(30_000)).toBe(100);
  });

  it('reports a storm once, at the fifth end within a minute', () => {
    let nowMs = 0;
    const policy = new RestartPolicy(timings, () => nowMs);
    const storms = Array.from({ length: 7 }, () => ((nowMs += 10_000), policy.ended(false).stormBegins));
    expect(storms).toEqual([false, false, false, false, true, false, false]);
  });

  it('sees no storm in ends that are far apart', () => {
    let nowMs = 0;
    const policy = new RestartPolicy(timings, () => nowMs);
    for (let i = 0; i < 20; i++) {
      nowMs += 20_000;
      expect(policy.ended(false).stormBegins).toBe(false);
    }
  });
});

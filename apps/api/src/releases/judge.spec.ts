import type { PlacedRelease, PromoteRule, RollbackRule } from '@app/contracts';
import { CanaryTrial } from './canary-trial';
import { isTooMany, valuesAbove } from './evidence';
import { countAbove, countOf, quantileMs, RequestWindow, valueBelow, type Latencies } from './request-window';

const WINDOW_MS = 120_000;
const START_MS = 1e12;
const RULES: RollbackRule = { p99Ratio: 1.2, errorRate: 0.001, minAgreement: 0.999, windowMs: WINDOW_MS };
const NO_RULES: RollbackRule = { p99Ratio: null, errorRate: null, minAgreement: null, windowMs: WINDOW_MS };
const PROMOTE: PromoteRule = { afterMs: 600_000, requestsMin: 1000 };

/** The same numbers each time, from 0 to 1. */
function randomNumbers(seed: number): () => number {
  let state = seed;
  return () => {
    state = (state * 1664525 + 1013904223) % 2 ** 32;
    return state / 2 ** 32;
  };
}

/** A trial on a clock of its own, with ten requests a second, of which one in five goes to the canary. */
class Traffic {
  nowMs = START_MS;
  readonly trial: CanaryTrial;
  private readonly random = randomNumbers(7);

  constructor(rollback: RollbackRule | null, promote: PromoteRule | null = null) {
    const release: PlacedRelease = {
      name: 'm',
      labels: { stable: '1' },
      canary: { version: '2', trafficPercent: 20 },
      mirror: null,
      rollback,
      promote,
    };
    this.trial = new CanaryTrial(release, START_MS);
  }

  /** Until it is judged, `seconds` at most. `slowdown` of the canary; shares of its requests that fail, and of its answers that differ. */
  run(seconds: number, { slowdown = 1, failing = 0, stableFailing = 0, differing = 0, bytes = [100, 100] }: Partial<Behaviour> = {}) {
    for (let i = 0; i < seconds * 10; i++) {
      this.nowMs += 100;
      const isCanary = i % 5 === 0;
      const window = isCanary ? this.trial.canary : this.trial.stable;
      const size = isCanary ? bytes[1] : bytes[0];
      // A tail like that of live answers; long bodies take longer.
      const latencyMs = 5 * Math.exp(this.random() ** 4 * 2) * (isCanary ? slowdown : 1) * (size / 100);
      if (isCanary) this.trial.count();
      if (this.random() < (isCanary ? failing : stableFailing)) window.failed(this.nowMs);
      else window.answered(this.nowMs, latencyMs, size);
      if (isCanary) this.trial.canary.compared(this.nowMs, 1, this.random() < differing ? 0 : 1);
      const judgement = i % 10 === 9 ? this.trial.judge(this.nowMs) : null;
      if (judgement !== null) return { ...judgement, afterMs: this.nowMs - START_MS };
    }
    return null;
  }
}

interface Behaviour {
  slowdown: number;
  failing: number;
  stableFailing: number;
  differing: number;
  bytes: [stable: number, canary: number];
}

describe('a canary', () => {
  it('that answers as the stable version does is promoted once its time has come, and not before', () => {
    const judged = new Traffic(RULES, PROMOTE).run(1000);
    expect(judged).toMatchObject({ action: 'promote', reason: '1200 requests in 600 s gave no reason to take it back' });
    expect(judged?.afterMs).toBe(PROMOTE.afterMs);
    expect(new Traffic(RULES, { ...PROMOTE, requestsMin: 1500 }).run(1000)?.afterMs).toBe(750_000);
    expect(new Traffic(RULES).run(3600)).toBeNull();
  });

  it('that is slow is taken back within its window', () => {
    const judged = new Traffic(RULES, PROMOTE).run(1000, { slowdown: 2.5 });
    expect(judged).toMatchObject({ action: 'rollback' });
    expect(judged?.reason).toMatch(/^\d+ of \d+ requests took longer than 1.2 times the stable version's p99/);
    expect(judged?.afterMs).toBeLessThan(WINDOW_MS);
  });

  it('is not slow because its callers send longer bodies', () => {
    const longer = { bytes: [100, 1000] as [number, number] };
    const judged = new Traffic(RULES, PROMOTE).run(1000, longer);
    // There is nothing to compare it with: it is neither taken back nor promoted.
    expect(judged).toBeNull();
    expect(new Traffic({ ...RULES, p99Ratio: null }, PROMOTE).run(1000, longer)).toMatchObject({ action: 'promote' });
  });

  it('that never answers is taken back after its first requests', () => {
    const judged = new Traffic(RULES, PROMOTE).run(1000, { failing: 1 });
    expect(judged).toMatchObject({ action: 'rollback', reason: '2 of 2 requests failed, and at most 0.1 % may', afterMs: 1000 });
  });

  it('that fails now and then is taken back once it is no chance', () => {
    const judged = new Traffic(RULES, PROMOTE).run(1000, { failing: 0.05 });
    expect(judged).toMatchObject({ action: 'rollback' });
    expect(judged?.afterMs).toBeLessThan(WINDOW_MS);
    const one = new Traffic(RULES);
    one.trial.count();
    one.trial.canary.failed(one.nowMs);
    expect(one.trial.judge(one.nowMs)).toBeNull();
  });

  it('is not taken back for what fails on the stable version as often', () => {
    expect(new Traffic(RULES, PROMOTE).run(3600, { failing: 0.2, stableFailing: 0.2 })).not.toMatchObject({ action: 'rollback' });
  });

  it('that answers something else is taken back', () => {
    const judged = new Traffic(RULES, PROMOTE).run(1000, { differing: 0.1 });
    expect(judged).toMatchObject({ action: 'rollback' });
    expect(judged?.reason).toMatch(/^\d+ of \d+ compared answers differ from the stable version's, and at most 0.1 % may$/);
    expect(judged?.afterMs).toBeLessThan(WINDOW_MS);
  });

  it('is judged by the rules that there are', () => {
    const bad = { slowdown: 5, failing: 0.5, differing: 1 };
    expect(new Traffic(NO_RULES).run(1000, bad)).toBeNull();
    expect(new Traffic(null).run(1000, bad)).toBeNull();
    for (const rule of ['p99Ratio', 'errorRate', 'minAgreement'] as const)
      expect(new Traffic({ ...NO_RULES, [rule]: RULES[rule] }).run(1000, bad)).toMatchObject({ action: 'rollback' });
  });

  it('is judged by its window: what was bad before it does not count', () => {
    const traffic = new Traffic({ ...RULES, windowMs: 30_000 }, PROMOTE);
    for (let i = 0; i < 20; i++) traffic.trial.canary.failed(traffic.nowMs);
    traffic.trial.count();
    expect(traffic.trial.judge(traffic.nowMs)).toMatchObject({ action: 'rollback' });
    traffic.nowMs += 31_000;
    expect(traffic.run(1000)).toMatchObject({ action: 'promote' });
  });

  it('is not judged where no request came', () => {
    const traffic = new Traffic(null, { afterMs: 0, requestsMin: 0 });
    expect(traffic.trial.judge(traffic.nowMs)).toBeNull();
    traffic.trial.count();
    expect(traffic.trial.judge(traffic.nowMs)).toMatchObject({ action: 'promote' });
  });

  it('has figures', () => {
    const traffic = new Traffic(RULES);
    expect(traffic.trial.figures(traffic.nowMs)).toMatchObject({ requests: 0, p99Ms: null, p99Ratio: null, agreement: null });
    traffic.run(60, { slowdown: 1.1 });
    const figures = traffic.trial.figures(traffic.nowMs);
    expect(figures).toMatchObject({ sinceMs: START_MS, requestsTotal: 120, requests: 120, errors: 0, stableRequests: 480, agreement: 1 });
    expect(figures.p99Ratio).toBeGreaterThan(0.8);
    expect(figures.p99Ratio).toBeLessThan(1.4);
  });
});

describe('evidence', () => {
  /** Exactly. */
  const atLeast = (count: number, trials: number, p: number): number => {
    let [term, below] = [(1 - p) ** trials, 0];
    for (let i = 0; i < count; i++) {
      below += term;
      term *= ((trials - i) / (i + 1)) * (p / (1 - p));
    }
    return 1 - below;
  };

  it.each([
    [2, 2, 0.001],
    [3, 50, 0.001],
    [12, 300, 0.01],
    [5, 40, 0.01],
    [60, 3000, 0.01],
  ])('%i of %i is believed only where chance is smaller than allowed', (count, trials, p) => {
    for (const chance of [1e-2, 1e-4, 1e-6])
      if (isTooMany(count, trials, p, chance)) expect(atLeast(count, trials, p)).toBeLessThan(chance);
  });

  it('grows with the trials', () => {
    expect(isTooMany(2, 2, 0.001, 1e-4)).toBe(true);
    expect(isTooMany(1, 1, 0.001, 1e-4)).toBe(false);
    expect(isTooMany(2, 100, 0.01, 1e-4)).toBe(false);
    expect(isTooMany(200, 10_000, 0.01, 1e-4)).toBe(true);
    expect(isTooMany(1, 1000, 0, 1e-4)).toBe(true);
    expect(isTooMany(0, 0, 0, 1e-4)).toBe(false);
    expect(isTooMany(0, 10, 0, 1e-4)).toBe(false);
  });

  it('says how many values may lie above a quantile', () => {
    expect(valuesAbove(100, 0.99, 0.05)).toBe(0);
    expect(valuesAbove(1000, 0.99, 0.05)).toBeGreaterThan(0);
    expect(valuesAbove(1000, 0.99, 0.05)).toBeLessThan(10);
    expect(valuesAbove(1_000_000, 0.99, 0.05)).toBeGreaterThan(9700);
  });
});

describe('a window of requests', () => {
  it('moves on', () => {
    const window = new RequestWindow(24_000);
    window.answered(START_MS, 5, 100);
    window.failed(START_MS + 12_000);
    window.compared(START_MS + 12_000, 3, 2);
    expect(window.totals(START_MS + 12_000)).toMatchObject({ requests: 2, errors: 1, rows: 3, agreeing: 2 });
    expect(window.totals(START_MS + 24_000)).toMatchObject({ requests: 1, errors: 1 });
    expect(window.totals(START_MS + 36_000)).toMatchObject({ requests: 0, errors: 0, rows: 0 });
    window.answered(START_MS + 1e9, 5, 100);
    expect(window.totals(START_MS + 1e9)).toMatchObject({ requests: 1 });
  });

  it('keeps latencies to 3 %, by the size of the body', () => {
    const window = new RequestWindow(1000);
    for (let i = 1; i <= 1000; i++) window.answered(START_MS, i, 256);
    window.answered(START_MS, 1e9, 1e9);
    window.answered(START_MS, 0, 0);
    const totals = window.totals(START_MS);
    const [small] = totals.latencies as [Latencies];
    expect([countOf(small), countOf(totals.latencies.at(-1) ?? null), countOf(null)]).toEqual([1001, 1, 0]);
    expect(valueBelow(small, 10) / 990).toBeCloseTo(1, 1);
    expect(valueBelow(small, 0)).toBeGreaterThanOrEqual(1000);
    expect(countAbove(small, 900)).toBeGreaterThan(70);
    expect(countAbove(small, 900)).toBeLessThanOrEqual(100);
    expect(quantileMs(totals, 0.5)).toBeGreaterThan(490);
    expect(quantileMs(new RequestWindow(1000).totals(START_MS), 0.5)).toBeNull();
  });
});

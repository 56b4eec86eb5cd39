import fc from 'fast-check';
import { Budget, BURST_SECONDS } from './budget';

describe('a budget', () => {
  let nowMs = 0;
  const budgetOf = (msPerSecond: number): Budget => new Budget(msPerSecond, () => nowMs);

  it('lets through what was measured, not what was predicted, in the long run', () => {
    fc.assert(
      fc.property(
        fc.integer({ min: 1, max: 4000 }),
        fc.array(fc.record({ predictedMs: fc.integer({ min: 1, max: 400 }), ratio: fc.double({ min: 0, max: 4, noNaN: true }) }), {
          minLength: 1,
          maxLength: 20,
        }),
        (msPerSecond, requests) => {
          nowMs = 0;
          const budget = budgetOf(msPerSecond);
          let usedMs = 0;
          let largestMs = 0;
          for (let i = 0; i < 2000; i++) {
            const { predictedMs, ratio } = requests[i % requests.length] as { predictedMs: number; ratio: number };
            for (let refusal = budget.take(predictedMs); refusal !== null; refusal = budget.take(predictedMs))
              nowMs += Math.ceil(refusal.waitMs);
            budget.correct(predictedMs, predictedMs * ratio);
            usedMs += predictedMs * ratio;
            largestMs = Math.max(largestMs, predictedMs, predictedMs * ratio);
          }
          const allowedMs = (msPerSecond * nowMs) / 1000;
          expect(usedMs).toBeLessThanOrEqual(allowedMs + msPerSecond * BURST_SECONDS + 2 * largestMs);
          // All the time was waited for: nothing allowed stays unused but a burst.
          if (nowMs > 0) expect(usedMs).toBeGreaterThanOrEqual(allowedMs - msPerSecond * BURST_SECONDS - largestMs - msPerSecond * 2);
        },
      ),
    );
  });

  it('says how long to wait: after that the same is taken, and not before', () => {
    fc.assert(
      fc.property(
        fc.integer({ min: 1, max: 1000 }),
        fc.integer({ min: 1, max: 100_000 }),
        fc.integer({ min: 1, max: 10_000 }),
        (msPerSecond, usedMs, costMs) => {
          nowMs = 0;
          const budget = budgetOf(msPerSecond);
          expect(budget.take(1)).toBeNull();
          budget.correct(1, usedMs);
          const refusal = budget.take(costMs);
          if (refusal === null) return;
          nowMs += refusal.waitMs * 0.99;
          expect(budget.take(costMs)).not.toBeNull();
          nowMs += refusal.waitMs * 0.01 + 0.001;
          expect(budget.take(costMs)).toBeNull();
        },
      ),
    );
  });

  it('lets a request that costs more than a burst pass when it is full, and then waits for as long as that takes', () => {
    nowMs = 0;
    const budget = budgetOf(100);
    expect(budget.take(2000)).toBeNull();
    expect(budget.look()).toEqual({ waitMs: 20_000 });
    nowMs = 20_000;
    expect(budget.take(2000)).toBeNull();
  });

  it('says before the cost is known how long to wait for any of the sizes that came', () => {
    nowMs = 0;
    const budget = budgetOf(100);
    expect([budget.take(10), budget.take(300), budget.take(20)]).toEqual([null, null, null]);
    budget.correct(0, 400);
    nowMs += (budget.look()?.waitMs ?? 0) + 0.001;
    expect(budget.take(300)).toBeNull();
  });

  it('keeps what was used when the share changes', () => {
    nowMs = 0;
    const budget = budgetOf(100);
    budget.take(400);
    budget.setShare(200);
    expect(budget.remainingMs).toBe(600);
    budget.setShare(50);
    expect(budget.remainingMs).toBe(-150);
  });
});

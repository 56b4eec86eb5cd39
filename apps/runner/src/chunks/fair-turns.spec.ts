import { FairTurns, type Share } from './fair-turns';

const share = (batchId: string, weight: number, tenant = 't', tenantWeight = 1): Share => ({ batchId, weight, tenant, tenantWeight });

/** How much each got of so many turns, of those that always want more. */
function deal(turns: FairTurns, shares: readonly Share[], count: number, cost: (one: Share) => number = () => 1): Record<string, number> {
  const got: Record<string, number> = {};
  for (let i = 0; i < count; i++) {
    const next = turns.next(shares, (one) => one);
    if (next === null) throw new Error('nobody has a turn');
    turns.charge(next, cost(next));
    got[next.batchId] = (got[next.batchId] ?? 0) + cost(next);
  }
  return got;
}

describe('FairTurns', () => {
  it('gives batches of one tenant cost by their weights, however much a turn costs', () => {
    const costs: Record<string, number> = { a: 5, b: 1, c: 2 };
    const got = deal(new FairTurns(), [share('a', 1), share('b', 2), share('c', 4)], 20_000, ({ batchId }) => costs[batchId] ?? 0);
    const unit = got['a'] ?? 0;
    expect((got['b'] ?? 0) / unit).toBeCloseTo(2, 1);
    expect((got['c'] ?? 0) / unit).toBeCloseTo(4, 1);
  });

  it('gives tenants cost by their weights, however many batches they have', () => {
    const many = Array.from({ length: 9 }, (_, i) => share(`m${i}`, 4, 'many', 1));
    const got = deal(new FairTurns(), [...many, share('one', 1, 'other', 3)], 12_000);
    expect(got['one']).toBeCloseTo(9_000, -2);
    expect(got['m3']).toBeCloseTo(3_000 / 9, -1);
  });

  it('lets who comes late begin where the others are, without making up for what it missed', () => {
    const turns = new FairTurns();
    const [early, late] = [share('early', 1), share('late', 1)];
    deal(turns, [early], 1_000);
    const got = deal(turns, [early, late], 100);
    expect(got['late']).toBeGreaterThanOrEqual(49);
    expect(got['late']).toBeLessThanOrEqual(51);
    deal(turns, [early], 1_000);
    expect(deal(turns, [early, late], 100)['late']).toBeLessThanOrEqual(51);
  });

  it('follows a change of weight at once', () => {
    const turns = new FairTurns();
    deal(turns, [share('a', 1), share('b', 1)], 1_000);
    const got = deal(turns, [share('a', 3), share('b', 1)], 1_000);
    expect(got['a']).toBeCloseTo(750, -1);
  });

  it('keeps the order of asking among those that are alike, and says when nobody asks', () => {
    const turns = new FairTurns();
    expect(turns.next(['x', 'y'], () => share('a', 1))).toBe('x');
    expect(turns.next([], () => share('a', 1))).toBeNull();
  });

  it('forgets batches that are over', () => {
    const turns = new FairTurns();
    for (let i = 0; i < 5_000; i++) turns.charge(share(`b${i}`, 1, `t${i % 2_000}`), 1);
    expect(turns.size).toBeLessThan(2_100);
  });

  it('keeps the share of one that wants nothing for moments, with a lag', () => {
    const [large, small] = [share('large', 4), share('small', 3)];
    // The large one is away at one of three turns, and is due at four of seven.
    const dealt = (turns: FairTurns): number => {
      let count = 0;
      for (let turn = 0; turn < 1_000; turn++) {
        const next = turns.next(turn % 3 === 0 ? [small] : [large, small], (one) => one) ?? small;
        turns.charge(next, 1);
        if (next === large) count += 1;
      }
      return count;
    };
    expect(dealt(new FairTurns())).toBeLessThan(550);
    expect(dealt(new FairTurns(10))).toBeGreaterThan(565);
  });
});

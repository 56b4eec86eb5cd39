import fc from 'fast-check';
import type { Cut } from './candidates';
import { chooseCuts } from './choose-cuts';

const cut = (after: number, us: number, bytes: number): Cut => ({ after, us, bytes, values: [] });
/** Of the slowest stage. */
const slowest = (chosen: readonly Cut[], totalUs: number): number =>
  Math.max(...[...chosen.map(({ us }) => us), totalUs].map((us, i) => us - (chosen[i - 1]?.us ?? 0)));
const bytesOf = (chosen: readonly Cut[]): number => chosen.reduce((sum, { bytes }) => sum + bytes, 0);

/** Every way to choose so many in order. */
function ways(cuts: readonly Cut[], count: number): Cut[][] {
  if (count === 0) return [[]];
  return cuts.flatMap((first, i) => ways(cuts.slice(i + 1), count - 1).map((others) => [first, ...others]));
}

describe('chooseCuts', () => {
  it('takes the place with the fewest bytes that is nearly as balanced as the best', () => {
    const cuts = [cut(0, 30, 1), cut(1, 48, 10), cut(2, 50, 1000), cut(3, 80, 1)];
    expect(chooseCuts(cuts, 100, 2)).toEqual([cuts[1]]);
  });

  it('has no answer where there are too few places', () => {
    expect(chooseCuts([cut(0, 50, 1)], 100, 3)).toBeNull();
  });

  it('is as good as trying all ways', () => {
    const place = fc.record({ us: fc.integer({ min: 0, max: 50 }), bytes: fc.integer({ min: 0, max: 9 }) });
    fc.assert(
      fc.property(fc.array(place, { minLength: 1, maxLength: 9 }), fc.integer({ min: 2, max: 4 }), (places, stages) => {
        let us = 0;
        const cuts = places.map((own, i) => cut(i, (us += own.us), own.bytes));
        const totalUs = us + 10;
        const all = ways(cuts, stages - 1);
        const chosen = chooseCuts(cuts, totalUs, stages);
        if (all.length === 0) return chosen === null;
        const best = Math.min(...all.map((way) => slowest(way, totalUs)));
        // Bisection ends a hair above the best.
        const allowed = all.filter((way) => slowest(way, totalUs) <= best * 1.05 + 1e-6);
        return chosen !== null && slowest(chosen, totalUs) <= best * 1.05 + 1e-6 && bytesOf(chosen) <= Math.min(...allowed.map(bytesOf));
      }),
    );
  });
});

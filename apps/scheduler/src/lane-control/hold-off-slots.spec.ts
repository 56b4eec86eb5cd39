import { noHoldOff, stepHoldOff } from './hold-off-slots';
import { SLOT_MS, TICK_MS } from './thresholds';

const SHARE = 0.02;

/** The steps of `slots` slots; whether each one is held off. */
function steps(slots: number, hasBoth: boolean, share = SHARE, seed = 7): boolean[] {
  let state = noHoldOff(seed);
  return Array.from({ length: (slots * SLOT_MS) / TICK_MS }, (_, i) => {
    state = stepHoldOff(state, hasBoth, share, 1000 + i * TICK_MS);
    return state.isHeldOff;
  });
}

describe('hold-off slots', () => {
  it('are one in fifty, a second each', () => {
    const held = steps(5000, true);
    expect(held.filter(Boolean)).toHaveLength((100 * SLOT_MS) / TICK_MS);
    for (let slot = 0; slot < 5000; slot++) expect(new Set(held.slice(2 * slot, 2 * slot + 2)).size).toBe(1);
  });

  it('do not come at equal distances', () => {
    const at = steps(2000, true).flatMap((isHeld, i) => (isHeld && i % 2 === 0 ? [i / 2] : []));
    expect(new Set(at.slice(1).map((slot, i) => slot - (at[i] ?? 0))).size).toBeGreaterThan(10);
  });

  it('are not spent without traffic of both lanes, nor with a share of 0', () => {
    expect(steps(1000, false)).not.toContain(true);
    expect(steps(1000, true, 0)).not.toContain(true);
  });
});

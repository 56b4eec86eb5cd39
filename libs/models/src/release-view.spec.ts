import { getsCanary } from './release-view';

describe('the share of a canary', () => {
  const RULE = { version: '4', trafficPercent: 10 };

  it('is what the rule says, within one per cent of 20 000 callers', () => {
    const callers = Array.from({ length: 20_000 }, (_, i) => `user-${i}`);
    const shareOf = (trafficPercent: number): number =>
      (callers.filter((caller) => getsCanary('minilm', caller, { ...RULE, trafficPercent })).length / callers.length) * 100;
    for (const percent of [1, 10, 50, 99]) expect(Math.abs(shareOf(percent) - percent)).toBeLessThan(1);
    expect([shareOf(0), shareOf(100)]).toEqual([0, 100]);
  });

  it('always has the same callers, and those of a smaller share are in a larger one', () => {
    const callers = Array.from({ length: 1000 }, (_, i) => `user-${i}`);
    const chosen = (trafficPercent: number): string[] => callers.filter((caller) => getsCanary('m', caller, { ...RULE, trafficPercent }));
    expect(chosen(10)).toEqual(chosen(10));
    expect(new Set(chosen(20))).toEqual(new Set([...chosen(20), ...chosen(10)]));
    expect(chosen(10)).not.toEqual(callers.filter((caller) => getsCanary('other', caller, RULE)));
  });
});

import { Competition } from './competition';

describe('competition', () => {
  it('is on from the first request of a second tenant until one has been alone for a minute', () => {
    let nowMs = 0;
    const competition = new Competition(() => nowMs);
    expect(competition.with('a')).toBe(false);
    competition.see('a');
    expect([competition.isOn, competition.with('a'), competition.with('b')]).toEqual([false, false, true]);
    competition.see('b');
    expect([competition.isOn, competition.with('a'), competition.with('b')]).toEqual([true, true, true]);
    for (nowMs = 1000; nowMs <= 60_000; nowMs += 1000) {
      expect(competition.isOn).toBe(nowMs < 60_000);
      competition.see('b');
    }
    expect([competition.with('b'), competition.with('a')]).toEqual([false, true]);
  });
});

/** Rates are taken against the oldest reading that is not older than this. */
const WINDOW_MS = 10_000;

/** Turns counters into rates by remembering the readings of the last seconds. */
export class Readings<Counters> {
  private readings: { atMs: number; counters: Counters }[] = [];

  /** Takes a reading; `nowMs` on any steady clock. `before`: the oldest of the window, which is this one at first; `seconds`: since then. */
  add(counters: Counters, nowMs: number): { before: Counters; seconds: number } {
    const now = { atMs: nowMs, counters };
    this.readings = [...this.readings.filter(({ atMs }) => atMs >= nowMs - WINDOW_MS), now];
    const [oldest = now] = this.readings;
    return { before: oldest.counters, seconds: (nowMs - oldest.atMs) / 1000 };
  }
}

/** A counter that went down belongs to a process that was restarted: nothing is known for that window. */
export function perSecond(before: number, after: number, seconds: number): number | null {
  return seconds > 0 && after >= before ? (after - before) / seconds : null;
}

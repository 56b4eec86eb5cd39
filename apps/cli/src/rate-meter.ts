/** Rates are those of this last stretch of time. */
const RATE_WINDOW_MS = 15_000;

/** Rows, or bytes, per second over a moving window. */
export class RateMeter {
  private samples: { rows: number; atMs: number }[] = [];

  /** Null while there is nothing to compare with. */
  add(rows: number, atMs: number): number | null {
    this.samples = [...this.samples.filter((sample) => atMs - sample.atMs <= RATE_WINDOW_MS), { rows, atMs }];
    const first = this.samples[0];
    if (!first || first.atMs === atMs) return null;
    return ((rows - first.rows) / (atMs - first.atMs)) * 1000;
  }
}

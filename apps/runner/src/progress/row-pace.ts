/** Older samples are forgotten. */
export const WINDOW_MS = 60_000;
/** Between two samples that are kept. */
const STEP_MS = 2_000;
/** Of the rate, at least: what is measured says nothing of what other work will come. */
const SPREAD_MIN = 0.05;
/** While too little is known to tell how much the rate varies. */
const SPREAD_UNKNOWN = 0.5;
const RATES_MIN = 3;

export interface Pace {
  perSecond: number;
  /** Within this part of it the rate is likely to be: from `perSecond * (1 - spread)` to `perSecond * (1 + spread)`. Below 1. */
  spread: number;
}

/** Learns how fast rows are done from how many there are at some moments. Times are of any steady clock, in ms. */
export class RowPace {
  private samples: { atMs: number; rows: number }[] = [];

  /** Nothing was done meanwhile, and that says nothing of what comes. */
  forget(): void {
    this.samples = [];
  }

  /** `rows`: done so far; less than before where a chunk was put back. */
  add(rows: number, atMs: number): void {
    const [first, ...others] = this.samples;
    // The clock starts when the first row is done: who waits for others has no pace of its own.
    if (first === undefined || (others.length === 0 && rows <= first.rows)) {
      this.samples = [{ atMs, rows }];
      return;
    }
    const kept = this.samples.filter((sample, index) => index === 0 || sample.atMs - (this.samples[index - 1]?.atMs ?? 0) >= STEP_MS);
    const inWindow = kept.filter((sample) => atMs - sample.atMs <= WINDOW_MS);
    this.samples = [...(inWindow.length > 0 ? inWindow : kept.slice(-1)), { atMs, rows }];
  }

  /** Of the last `windowMs`, as far as there are samples; null: nothing was done in that time. */
  read(windowMs = WINDOW_MS): Pace | null {
    const last = this.samples.at(-1);
    if (last === undefined) return null;
    const from = this.samples.findIndex(({ atMs }) => last.atMs - atMs <= windowMs);
    const samples = this.samples.slice(Math.min(from, Math.max(0, this.samples.length - 2)));
    const [first = last] = samples;
    if (last.rows <= first.rows) return null;
    const perSecond = rate(first, last);
    const rates = samples.slice(1).map((sample, index) => rate(samples[index] ?? sample, sample));
    return { perSecond, spread: spreadOf(rates, perSecond) };
  }
}

const rate = (from: { atMs: number; rows: number }, to: { atMs: number; rows: number }): number =>
  ((to.rows - from.rows) * 1000) / Math.max(1, to.atMs - from.atMs);

/** Two standard errors of the mean of the rates, or by how much it changed between the halves of the time, as a part of the rate. */
function spreadOf(rates: readonly number[], mean: number): number {
  if (rates.length < RATES_MIN) return SPREAD_UNKNOWN;
  const variance = rates.reduce((sum, each) => sum + (each - mean) ** 2, 0) / (rates.length - 1);
  const half = Math.floor(rates.length / 2);
  const drift = Math.abs(meanOf(rates.slice(half)) - meanOf(rates.slice(0, half)));
  const spread = Math.max(2 * Math.sqrt(variance / rates.length), drift) / mean;
  return Math.min(Math.max(spread, SPREAD_MIN), SPREAD_UNKNOWN);
}

const meanOf = (values: readonly number[]): number => values.reduce((sum, each) => sum + each, 0) / Math.max(1, values.length);

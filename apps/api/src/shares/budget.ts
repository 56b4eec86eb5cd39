/** What a tenant may use at once after it was idle, in seconds of its share. */
export const BURST_SECONDS = 5;

export interface BudgetRefusal {
  /** Until the same would be taken, if nothing else of the tenant came. */
  waitMs: number;
}

/**
 * Executor time that one tenant may use: it grows with the share up to a burst. A request takes what it is predicted to
 * cost and is corrected to what it did cost, so the sum over time is the measured. What was used beyond is owed. A
 * request that costs more than a burst passes when the budget is full. Callers of the event loop only.
 */
export class Budget {
  private leftMs: number;
  private atMs: number;
  /** Since the budget was last full. */
  private largestCostMs = 0;

  constructor(
    private msPerSecond: number,
    private readonly nowMs: () => number,
  ) {
    this.leftMs = this.burstMs;
    this.atMs = nowMs();
  }

  get shareMsPerSecond(): number {
    return this.msPerSecond;
  }

  get burstMs(): number {
    return this.msPerSecond * BURST_SECONDS;
  }

  /** Below 0: it is owed. */
  get remainingMs(): number {
    const nowMs = this.nowMs();
    this.leftMs = Math.min(this.burstMs, this.leftMs + (this.msPerSecond * (nowMs - this.atMs)) / 1000);
    this.atMs = nowMs;
    return this.leftMs;
  }

  /** The share may change while the process runs. */
  setShare(msPerSecond: number): void {
    if (msPerSecond === this.msPerSecond) return;
    const usedMs = this.burstMs - this.remainingMs;
    this.msPerSecond = msPerSecond;
    this.leftMs = this.burstMs - usedMs;
  }

  /** Null: taken. */
  take(costMs: number): BudgetRefusal | null {
    this.largestCostMs = this.remainingMs >= this.burstMs ? costMs : Math.max(costMs, this.largestCostMs);
    const refusal = this.refusalOf(costMs);
    if (refusal === null) this.leftMs -= costMs;
    return refusal;
  }

  /** The look before the cost is known: refuses where nothing is left, until there is room for the largest since it was full. */
  look(): BudgetRefusal | null {
    return this.remainingMs > 0 ? null : this.refusalOf(this.largestCostMs);
  }

  /** `costMs` was taken, this is what it was: less gives back, more is owed. */
  correct(costMs: number, measuredMs: number): void {
    this.leftMs = Math.min(this.burstMs, this.remainingMs + costMs - measuredMs);
  }

  /** Until it is full. */
  get fullInMs(): number {
    return this.waitMs(this.burstMs);
  }

  /** Something must be left even for what is predicted to cost nothing. */
  private refusalOf(costMs: number): BudgetRefusal | null {
    const neededMs = Math.min(this.burstMs, Math.max(costMs, this.burstMs / 1000));
    return this.remainingMs >= neededMs ? null : { waitMs: this.waitMs(neededMs) };
  }

  private waitMs(neededMs: number): number {
    return Math.max(0, ((neededMs - this.remainingMs) / this.msPerSecond) * 1000);
  }
}

import type { ModelComparison } from '@app/contracts';
import type { RowComparison } from './compare-numbers';

/** Executor time of one row of each item, added up, in µs. */
export interface RowTimes {
  testedUs: number;
  stableUs: number;
}

/** What the comparisons of one version with the stable one have come to, of the files that serve and since this process began. */
export class ComparisonTally {
  private rows = 0;
  private agreeing = 0;
  private incomparable = 0;
  private flips = 0;
  private cosineMin: number | null = null;
  private largestDifference: number | null = null;
  private times: RowTimes = { testedUs: 0, stableUs: 0 };
  private requests = 0;
  private dropped = 0;

  add(rows: readonly RowComparison[], { testedUs, stableUs }: RowTimes): void {
    this.requests += 1;
    this.times = { testedUs: this.times.testedUs + testedUs, stableUs: this.times.stableUs + stableUs };
    for (const { agrees, isComparable, cosine, difference, flips } of rows) {
      this.rows += 1;
      this.agreeing += agrees ? 1 : 0;
      this.incomparable += isComparable ? 0 : 1;
      this.flips += flips;
      if (cosine !== null) this.cosineMin = Math.min(this.cosineMin ?? 1, cosine);
      if (difference !== null) this.largestDifference = Math.max(this.largestDifference ?? 0, difference);
    }
  }

  drop(): void {
    this.dropped += 1;
  }

  /** The tested version's time for a row, divided by the stable one's; null: no run was timed. */
  get timeRatio(): number | null {
    return this.times.stableUs === 0 ? null : this.times.testedUs / this.times.stableUs;
  }

  view(): Pick<
    ModelComparison,
    'requests' | 'dropped' | 'rows' | 'agreeing' | 'incomparable' | 'labelFlips' | 'cosineMin' | 'largestDifference' | 'timeRatio'
  > {
    const { requests, dropped, rows, agreeing, incomparable, flips: labelFlips, cosineMin, largestDifference, timeRatio } = this;
    return { requests, dropped, rows, agreeing, incomparable, labelFlips, cosineMin, largestDifference, timeRatio };
  }
}

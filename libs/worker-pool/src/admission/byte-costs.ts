/** Share of the sums that stays when a request is added, so that recent requests weigh most. */
const KEPT = 15 / 16;

/** Predicted work of one request, in ns: expected, with each item in its best run, and at most, with the request alone. */
export interface RequestCost {
  expectedNs: number;
  highNs: number;
}

/** What requests of late cost for each byte of their bodies, to predict what one costs that has not been read. */
export class ByteCosts {
  private requests = 0;
  private bytes = 0;
  private expectedNs = 0;
  private highNs = 0;

  /** `bytes` 0: not known. */
  learn(bytes: number, { expectedNs, highNs }: RequestCost): void {
    this.requests = this.requests * KEPT + 1;
    this.bytes = this.bytes * KEPT + bytes;
    this.expectedNs = this.expectedNs * KEPT + expectedNs;
    this.highNs = this.highNs * KEPT + highNs;
  }

  /** Cost of a body of so many bytes; null, not announced: of a typical one. Zero before the first was learned. */
  predict(bytes: number | null): RequestCost {
    const share = bytes === null || this.bytes === 0 ? 1 / Math.max(1, this.requests) : bytes / this.bytes;
    return { expectedNs: this.expectedNs * share, highNs: this.highNs * share };
  }
}

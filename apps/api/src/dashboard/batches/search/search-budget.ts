export interface SearchLimits {
  bytesMax: number;
  msMax: number;
}

/** What one request may read. */
export class SearchBudget {
  private readonly untilMs: number;
  private bytes = 0;

  constructor(private readonly limits: SearchLimits) {
    this.untilMs = performance.now() + limits.msMax;
  }

  get bytesRead(): number {
    return this.bytes;
  }

  get isSpent(): boolean {
    return this.bytes >= this.limits.bytesMax || performance.now() >= this.untilMs;
  }

  spend(bytes: number): void {
    this.bytes += bytes;
  }
}

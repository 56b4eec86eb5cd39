export interface BudgetLimits {
  rowsMax: number;
  bytesMax: number;
}

interface Waiter {
  bytes: number;
  admit: () => void;
}

/**
 * Bounds rows over all chunks: by number from reading to their answer, so that the workers' queue stays full while answers
 * wait for their turn to be written; by bytes from reading to writing. First come, first served, so that chunks share it
 * evenly.
 */
export class InFlightBudget {
  private rows = 0;
  private bytes = 0;
  private waiters: Waiter[] = [];

  constructor(private readonly limits: BudgetLimits) {}

  get rowCount(): number {
    return this.rows;
  }

  /**
   * Waits for room. The answer is what to give to `release` after the row was `answered`; null when `signal` was aborted
   * first.
   */
  async acquire(bytesWanted: number, signal: AbortSignal): Promise<number | null> {
    if (signal.aborted) return null;
    const bytes = Math.min(bytesWanted, this.limits.bytesMax);
    if (this.waiters.length === 0 && this.hasRoom(bytes)) {
      this.take(bytes);
      return bytes;
    }
    return (await this.wait(bytes, signal)) ? bytes : null;
  }

  answered(): void {
    this.rows -= 1;
    this.admitWaiters();
  }

  release(bytes: number): void {
    this.bytes -= bytes;
    this.admitWaiters();
  }

  private wait(bytes: number, signal: AbortSignal): Promise<boolean> {
    return new Promise((resolve) => {
      const onAbort = () => {
        this.waiters = this.waiters.filter((other) => other !== waiter);
        resolve(false);
        this.admitWaiters();
      };
      const waiter: Waiter = {
        bytes,
        admit: () => {
          signal.removeEventListener('abort', onAbort);
          resolve(true);
        },
      };
      signal.addEventListener('abort', onAbort, { once: true });
      this.waiters.push(waiter);
    });
  }

  private admitWaiters(): void {
    for (let next = this.waiters[0]; next !== undefined && this.hasRoom(next.bytes); next = this.waiters[0]) {
      this.waiters.shift();
      this.take(next.bytes);
      next.admit();
    }
  }

  private hasRoom(bytes: number): boolean {
    return this.rows < this.limits.rowsMax && this.bytes + bytes <= this.limits.bytesMax;
  }

  private take(bytes: number): void {
    this.rows += 1;
    this.bytes += bytes;
  }
}

export interface BudgetLimits {
  rowsMax: number;
  bytesMax: number;
}

interface Waiter {
  rows: number;
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
   * Waits for room for so many rows. The answer is what to give to `release` after the rows were `answered`; null when `signal` was
   * aborted first. More than all there is counts as all there is.
   */
  async acquire(bytesWanted: number, signal: AbortSignal, rowsWanted = 1): Promise<number | null> {
    if (signal.aborted) return null;
    const bytes = Math.min(bytesWanted, this.limits.bytesMax);
    const rows = Math.min(rowsWanted, this.limits.rowsMax);
    if (this.waiters.length === 0 && this.hasRoom(rows, bytes)) {
      this.take(rows, bytes);
      return bytes;
    }
    return (await this.wait(rows, bytes, signal)) ? bytes : null;
  }

  answered(rows = 1): void {
    this.rows -= Math.min(rows, this.limits.rowsMax);
    this.admitWaiters();
  }

  release(bytes: number): void {
    this.bytes -= bytes;
    this.admitWaiters();
  }

  private wait(rows: number, bytes: number, signal: AbortSignal): Promise<boolean> {
    return new Promise((resolve) => {
      const onAbort = () => {
        this.waiters = this.waiters.filter((other) => other !== waiter);
        resolve(false);
        this.admitWaiters();
      };
      const waiter: Waiter = {
        rows,
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
    for (let next = this.waiters[0]; next !== undefined && this.hasRoom(next.rows, next.bytes); next = this.waiters[0]) {
      this.waiters.shift();
      this.take(next.rows, next.bytes);
      next.admit();
    }
  }

  private hasRoom(rows: number, bytes: number): boolean {
    return this.rows + rows <= this.limits.rowsMax && this.bytes + bytes <= this.limits.bytesMax;
  }

  private take(rows: number, bytes: number): void {
    this.rows += rows;
    this.bytes += bytes;
  }
}

import { FairTurns, type Share } from './fair-turns';

export interface BudgetLimits {
  rowsMax: number;
  bytesMax: number;
}

/** Whose rows they are, and what one is predicted to cost, in seconds of an executor. */
export interface RowShare extends Share {
  readonly rowSeconds: number;
}

interface Waiter {
  bytes: number;
  rows: number;
  share: RowShare;
  admit: () => void;
}

/** Of an executor, for a weight of 1: more than the rows that a batch has in flight. */
const LAG_SECONDS_MAX = 1;

/** Rows of nobody in particular: they are admitted in the order of asking. */
const NO_SHARE: RowShare = { tenant: '', tenantWeight: 1, batchId: '', weight: 1, rowSeconds: 1 };

/**
 * Bounds rows over all chunks: by number from reading to their answer, so that the workers' queue stays full while answers
 * wait for their turn to be written; by bytes from reading to writing. Here the batches of a node get their shares of its executors:
 * room goes to whose turn it is, by what its rows cost.
 */
export class InFlightBudget {
  private readonly turns = new FairTurns(LAG_SECONDS_MAX);
  private rows = 0;
  private bytes = 0;
  private waiters: Waiter[] = [];

  constructor(private readonly limits: BudgetLimits) {}

  get rowsMax(): number {
    return this.limits.rowsMax;
  }

  get rowCount(): number {
    return this.rows;
  }

  /**
   * Waits for room for `rows` rows. The answer is what to give to `release` after they were `answered`; null when `signal` was
   * aborted first.
   */
  async acquire(bytesWanted: number, signal: AbortSignal, rows = 1, share: RowShare = NO_SHARE): Promise<number | null> {
    if (signal.aborted) return null;
    // Whole ones: fractions would not add up to nothing again, and what takes all of them would never fit.
    const bytes = Math.min(Math.ceil(bytesWanted), this.limits.bytesMax);
    const wanted = { bytes, rows, share };
    if (this.waiters.length === 0 && this.hasRoom(wanted)) {
      this.take(wanted);
      return bytes;
    }
    return (await this.wait(wanted, signal)) ? bytes : null;
  }

  answered(rows = 1): void {
    this.rows -= rows;
    this.admitWaiters();
  }

  release(bytes: number): void {
    this.bytes -= bytes;
    this.admitWaiters();
  }

  private wait(wanted: Omit<Waiter, 'admit'>, signal: AbortSignal): Promise<boolean> {
    return new Promise((resolve) => {
      const onAbort = () => {
        this.waiters = this.waiters.filter((other) => other !== waiter);
        resolve(false);
        this.admitWaiters();
      };
      const waiter: Waiter = {
        ...wanted,
        admit: () => {
          signal.removeEventListener('abort', onAbort);
          resolve(true);
        },
      };
      signal.addEventListener('abort', onAbort, { once: true });
      this.waiters.push(waiter);
    });
  }

  /** Where the one whose turn it is does not fit, nobody overtakes it. */
  private admitWaiters(): void {
    // Asked for each row that is answered, mostly in vain.
    while (this.waiters.some((waiter) => this.hasRoom(waiter))) {
      const next = this.turns.next(this.waiters, ({ share }) => share);
      if (next === null || !this.hasRoom(next)) return;
      this.waiters.splice(this.waiters.indexOf(next), 1);
      this.take(next);
      next.admit();
    }
  }

  /** More rows than are ever allowed run alone. */
  private hasRoom({ rows, bytes }: Pick<Waiter, 'rows' | 'bytes'>): boolean {
    const { rowsMax, bytesMax } = this.limits;
    return this.rows + Math.min(rows, rowsMax) <= rowsMax && this.bytes + bytes <= bytesMax;
  }

  private take({ rows, bytes, share }: Omit<Waiter, 'admit'>): void {
    this.rows += rows;
    this.bytes += bytes;
    this.turns.charge(share, rows * share.rowSeconds);
  }
}

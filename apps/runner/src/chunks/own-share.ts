import type { ChunkResult, Manifest } from '@app/batches';
import { BATCH_PRIORITY_WEIGHTS, type BatchPriority } from '@app/contracts';
import { deadlineBoost } from './deadline-boost';
import type { Share } from './fair-turns';
import { RowRate } from './row-rate';

const RATE_WINDOW_MS = 60_000;
/** A pace is not judged by less. */
const OBSERVED_MS_MIN = 15_000;

/** What a batch counts beside others, as its owner says: its priority, and more where it would not be done in time. */
export class OwnShare {
  private rate: RowRate;
  private sinceMs: number | null = null;

  constructor(
    private readonly manifest: Manifest,
    private readonly now: () => number = () => performance.now(),
  ) {
    this.rate = new RowRate(RATE_WINDOW_MS, now);
  }

  /** It goes on after a pause, which says nothing of its pace. */
  restart(): void {
    this.rate = new RowRate(RATE_WINDOW_MS, this.now);
    this.sinceMs = null;
  }

  done({ completed, failed }: Pick<ChunkResult, 'completed' | 'failed'>): void {
    // What was done up to the first one took nobody knows how long.
    if (this.sinceMs === null) this.sinceMs = this.now();
    else this.rate.add(completed + failed);
  }

  of(priority: BatchPriority): Share {
    const { tenant, tenantWeight = 1, batch } = this.manifest;
    const { total, completed, failed } = batch.request_counts;
    const boost = deadlineBoost({
      rowsLeft: total - completed - failed,
      rowsPerSecond: this.rowsPerSecond(),
      secondsLeft: (batch.expires_at ?? Infinity) - Date.now() / 1000,
    });
    return { tenant, tenantWeight, batchId: batch.id, weight: BATCH_PRIORITY_WEIGHTS[priority] * boost };
  }

  /** 0: not known yet. */
  private rowsPerSecond(): number {
    const observedMs = this.sinceMs === null ? 0 : Math.min(RATE_WINDOW_MS, this.now() - this.sinceMs);
    return observedMs < OBSERVED_MS_MIN ? 0 : (this.rate.perSecond() * RATE_WINDOW_MS) / observedMs;
  }
}

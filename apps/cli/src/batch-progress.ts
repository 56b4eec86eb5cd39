import { SingleBar } from 'cli-progress';
import type { BatchObject, BatchStatus } from '@app/contracts';
import type { ApiClient } from './client';

const POLL_MS = 500;
/** Rates are those of this last stretch of time. */
const RATE_WINDOW_MS = 15_000;
const OVER: readonly BatchStatus[] = ['completed', 'failed', 'cancelled', 'expired'];

export function isOver({ status }: Pick<BatchObject, 'status'>): boolean {
  return OVER.includes(status);
}

/** Shows a progress bar on standard error (when it is a terminal) until the batch is over; resolves with its last state. */
export async function followBatch(client: ApiClient, id: string): Promise<BatchObject> {
  const bar = new SingleBar({
    format: '{bar} {value}/{total} rows | {rate} rows/s | {left} left | {status}',
    barsize: 30,
    clearOnComplete: false,
    noTTYOutput: false,
    stream: process.stderr,
  });
  const rate = new RateMeter();
  bar.start(0, 0, { rate: '-', left: '-', status: 'validating' });
  try {
    for (;;) {
      const batch = await client.batch(id);
      const { total, completed, failed } = batch.request_counts;
      const done = completed + failed;
      const rowsPerSecond = rate.add(done, performance.now());
      bar.setTotal(total);
      bar.update(done, {
        status: batch.status,
        rate: rowsPerSecond === null ? '-' : rowsPerSecond.toFixed(rowsPerSecond < 10 ? 1 : 0),
        left: rowsPerSecond ? duration((total - done) / rowsPerSecond) : '-',
      });
      if (isOver(batch)) return batch;
      await new Promise((resolve) => setTimeout(resolve, POLL_MS));
    }
  } finally {
    bar.stop();
  }
}

/** Rows per second over a moving window. */
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

export function duration(seconds: number): string {
  const whole = Math.ceil(seconds);
  const pad = (value: number) => String(value).padStart(2, '0');
  const hours = Math.floor(whole / 3600);
  const minutes = Math.floor((whole % 3600) / 60);
  return hours > 0 ? `${hours}:${pad(minutes)}:${pad(whole % 60)}` : `${minutes}:${pad(whole % 60)}`;
}

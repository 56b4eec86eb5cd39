import type { BatchStatus, RunnerProcessStatus } from '@app/contracts';
import type { ChunkResult } from '@app/batches';
import { Counter, Gauge, type Registry } from 'prom-client';

/** The batch lane's numbers for Prometheus. */
export class RunnerMetrics {
  private readonly rowsTotal: Counter;
  private readonly chunksTotal: Counter;
  private readonly batchesTotal: Counter;
  private readonly failuresTotal: Counter;
  private readonly webhooksTotal: Counter;

  constructor(registry: Registry) {
    const registers = [registry];
    this.rowsTotal = new Counter({
      name: 'interleave_batch_rows_total',
      help: 'Rows with a line in a committed chunk',
      labelNames: ['outcome'],
      registers,
    });
    this.chunksTotal = new Counter({
      name: 'interleave_batch_chunks_total',
      help: 'Chunks that were worked on',
      labelNames: ['outcome'],
      registers,
    });
    this.batchesTotal = new Counter({
      name: 'interleave_batches_ended_total',
      help: 'Batches that are over',
      labelNames: ['status'],
      registers,
    });
    this.failuresTotal = new Counter({
      name: 'interleave_batch_row_failures_total',
      help: 'Rows with an error line in a committed chunk, by its code',
      labelNames: ['code'],
      registers,
    });
    this.webhooksTotal = new Counter({
      name: 'interleave_webhooks_total',
      help: 'Attempts to tell a receiver that a batch is over',
      labelNames: ['outcome'],
      registers,
    });
  }

  rows(result: ChunkResult): void {
    this.rowsTotal.inc({ outcome: 'completed' }, result.completed);
    this.rowsTotal.inc({ outcome: 'failed' }, result.failed);
    for (const [code, rows] of Object.entries(result.failures)) this.failuresTotal.inc({ code }, rows);
  }

  /** `failed`: it is tried again. */
  webhook(outcome: 'delivered' | 'failed' | 'given_up'): void {
    this.webhooksTotal.inc({ outcome });
  }

  /** `duplicate`: another node had done the chunk meanwhile, and its result stays. */
  chunk(outcome: 'committed' | 'put_back' | 'duplicate'): void {
    this.chunksTotal.inc({ outcome });
  }

  batchEnded(status: BatchStatus): void {
    this.batchesTotal.inc({ status });
  }
}

/** Metrics of one number that is read at every scrape. */
function gauges(registry: Registry, readings: readonly { name: string; help: string; read: () => number }[]): void {
  for (const { name, help, read } of readings)
    new Gauge({
      name,
      help,
      registers: [registry],
      collect() {
        this.set(read());
      },
    });
}

const OPEN_STATUSES: readonly BatchStatus[] = ['validating', 'in_progress', 'finalizing', 'cancelling'];

/** Gauges that are read off the lane's status at every scrape. */
export function observeRunner(registry: Registry, status: () => RunnerProcessStatus): void {
  const registers = [registry];
  new Gauge({
    name: 'interleave_batches',
    help: 'Batches that are not over',
    labelNames: ['status'],
    registers,
    collect() {
      const { batches } = status();
      for (const label of OPEN_STATUSES) this.set({ status: label }, batches.filter((batch) => batch.status === label).length);
    },
  });
  new Gauge({
    name: 'interleave_batch_chunks',
    help: 'Chunks in Redis',
    labelNames: ['state'],
    registers,
    collect() {
      const { running, waiting } = status().chunks;
      this.set({ state: 'running' }, running);
      this.set({ state: 'waiting' }, waiting);
    },
  });
  gauges(registry, [
    {
      name: 'interleave_batch_rows_per_second',
      help: 'Rows committed per second over the last 10 s',
      read: () => status().rowsPerSecond,
    },
    {
      name: 'interleave_batch_backlog_seconds',
      help: 'Predicted time of one executor for the rows that are not committed, by what the last rows took',
      read: () => status().backlogSeconds,
    },
    {
      name: 'interleave_batch_seconds_left',
      help: 'Predicted time until the batches that this node owns are done; 0: none is in work, or it is not known',
      read: () => Math.max(0, ...status().batches.map(({ secondsLeft }) => secondsLeft ?? 0)),
    },
    {
      name: 'interleave_batch_rows_open',
      help: 'Rows without a committed line, of the batches that this node owns',
      read: () => status().batches.reduce((sum, { total, completed, failed }) => sum + total - completed - failed, 0),
    },
    {
      name: 'interleave_batch_progress_age_seconds',
      help: 'For how long the batch in progress that stands still longest has had no row done; paused ones do not count',
      read: () => Math.max(0, ...status().batches.map(({ progressAgeSeconds }) => progressAgeSeconds ?? 0)),
    },
    {
      name: 'interleave_batch_oldest_chunk_seconds',
      help: 'For how long the chunk that runs longest has run, on any node, of the batches that this node owns; 0: none runs',
      read: () => status().chunks.oldestSeconds,
    },
    {
      name: 'interleave_redis_up',
      help: '1 while the Redis of the batches can be reached, else 0',
      read: () => (status().redisIsReady ? 1 : 0),
    },
  ]);
}

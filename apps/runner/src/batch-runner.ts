import { stat } from 'node:fs/promises';
import type { RunnerProcessStatus } from '@app/contracts';
import { isTerminal, type ChunkResult } from '@app/batches';
import { CHUNK_RETRY_MS_MAX, withDeadline, type BatchQueues, type ChunkPayload } from '@app/queues';
import { ActiveBatch } from './active-batch';
import { ChunkNotWanted } from './chunks/chunk-ledger';
import { ChunkPutBack, type ChunkProcessor } from './chunks/chunk-processor';
import { ChunkPump } from './chunks/chunk-pump';
import type { RunnerContext } from './runner-context';
import type { RunnerMetrics } from './runner-metrics';
import { RowRate } from './chunks/row-rate';

export interface BatchRunnerOptions {
  context: Omit<RunnerContext, 'isStopping' | 'mayWork' | 'onFeedable' | 'onCommitted'>;
  batchesDirectory: string;
  processor: ChunkProcessor;
  queues: BatchQueues;
  metrics: RunnerMetrics;
  chunkConcurrency: number;
  chunksQueuedMax: number;
  /** Time between two looks at the disk for what Redis did not tell. */
  reconcileMs: number;
}

/** What brings control messages and chunks to the runner, by `look` and `processChunk`. */
export interface Consumers {
  readonly isOpen: boolean;
  open(): void;
  /** Takes nothing new and waits for what runs, at most `timeoutMs`. */
  close(timeoutMs: number): Promise<void>;
}

type RunnerState = 'new' | 'running' | 'stopping' | 'stopped';

const REDIS_AWAY_MS = 5_000;
/** Chunks wait, room is there, and nothing was taken for longer than any chunk waits: the consumer's connection is beyond repair. */
const CONSUMER_STUCK_MS = CHUNK_RETRY_MS_MAX + 15_000;
const SWEEP_MS = 10 * 60 * 1000;
const ABANDONED_MS = 60 * 60 * 1000;

/**
 * The batch lane: finds batches on disk, validates them, has BullMQ deal out their chunks, and finishes them. Redis may
 * lose everything at any time; a look at the disk every `reconcileMs` brings it back.
 *
 * | state    | chunks and control messages         | left by                              |
 * |----------|-------------------------------------|--------------------------------------|
 * | new      | chunks are put back, messages lost  | start → running; stop → stopping     |
 * | running  | are taken                           | stop → stopping                      |
 * | stopping | as new; chunks that run are drained | drained, or the time is up → stopped |
 * | stopped  | as new                              | –                                    |
 */
export class BatchRunner {
  private readonly context: RunnerContext;
  private readonly runs = new Map<string, ActiveBatch>();
  private readonly over = new Set<string>();
  private readonly pump: ChunkPump;
  private readonly rate = new RowRate();
  private consumers: Consumers | null = null;
  private current: RunnerState = 'new';
  private stopped: Promise<void> | null = null;
  private timer: NodeJS.Timeout | null = null;
  private reconciling: Promise<void> = Promise.resolve();
  private feeding: Promise<void> = Promise.resolve();
  private isFeedQueued = false;
  private listedAtMtimeMs = 0;
  private lastTakenMs = Date.now();
  private redisSeenMs = Date.now();
  private sweptMs = 0;
  private pauseReason: string | null = null;

  constructor(private readonly options: BatchRunnerOptions) {
    this.context = {
      ...options.context,
      isStopping: () => !this.isRunning,
      mayWork: (batchId) => this.mayWork(batchId),
      onFeedable: () => this.feedSoon(),
      onCommitted: (result) => this.countCommit(result),
    };
    this.pump = new ChunkPump(options.queues, () => [...this.runs.values()].flatMap(({ ledger }) => ledger ?? []), {
      waitingMax: options.chunkConcurrency * 2,
      chunksQueuedMax: options.chunksQueuedMax,
    });
  }

  get state(): RunnerState {
    return this.current;
  }

  /** Works with what the consumers bring; they are opened once Redis is there. Throws unless it is new. */
  start(consumers: Consumers): void {
    if (this.current !== 'new') throw new Error(`batch runner: expected state new but it is ${this.current}`);
    this.consumers = consumers;
    this.enter('running');
    this.scheduleReconcile(0);
  }

  /**
   * Begins nothing new, gives chunks that run `drainMs` to finish and puts back those that do not. Committed work is
   * safe in any case; the process may exit when this resolves. Safe to call twice; the first call's time counts.
   */
  stop(drainMs: number): Promise<void> {
    this.stopped ??= this.drain(drainMs);
    return this.stopped;
  }

  status(): RunnerProcessStatus {
    const batches = [...this.runs.values()].map((run) => ({
      id: run.id,
      status: run.status,
      ...run.counts,
      runningChunks: run.runningChunks,
      paused: run.paused,
    }));
    const running = batches.reduce((sum, { runningChunks }) => sum + runningChunks, 0);
    return {
      batches,
      rowsPerSecond: this.rate.perSecond(),
      backlogSeconds: [...this.runs.values()].reduce((sum, { backlogSeconds }) => sum + backlogSeconds, 0),
      chunks: { running, waiting: this.pump.waitingChunks },
      redisIsReady: this.options.queues.isReady(),
    };
  }

  private async drain(drainMs: number): Promise<void> {
    this.enter('stopping');
    if (this.timer !== null) clearTimeout(this.timer);
    const abortAt = setTimeout(() => this.putBackRunning(), drainMs);
    await this.consumers?.close(drainMs + 1_000);
    clearTimeout(abortAt);
    this.putBackRunning();
    await withDeadline(this.reconciling, 1_000, 'reconciler').catch(() => undefined);
    this.enter('stopped');
  }

  private putBackRunning(): void {
    for (const run of this.runs.values()) run.abort('put_back');
  }

  private get isRunning(): boolean {
    return this.current === 'running';
  }

  /** The one setter of the state. */
  private enter(state: RunnerState): void {
    this.current = state;
  }

  private scheduleReconcile(delayMs: number): void {
    this.timer = setTimeout(() => {
      this.reconciling = this.reconcile().then(() => {
        if (this.isRunning) this.scheduleReconcile(this.options.reconcileMs);
      });
    }, delayMs);
  }

  /** Never rejects: each part is tried again in the next round. */
  private async reconcile(): Promise<void> {
    await this.attempt('finding batches', () => this.findBatches());
    await this.attempt('looking for pauses', () => this.updatePause());
    for (const run of this.runs.values()) await this.attempt('batch', () => run.tick(this.pauseReason));
    await this.attempt('queue', () => this.reconcileQueue());
    if (Date.now() - this.sweptMs > SWEEP_MS) await this.attempt('sweeping', () => this.sweep());
  }

  private async attempt(what: string, work: () => Promise<void>): Promise<void> {
    if (!this.isRunning) return;
    try {
      await work();
    } catch (error) {
      this.context.log.warn({ err: error }, `${what}: tried again later`);
    }
  }

  /** Lists the directory only when it changed; a change within the clock's grain of the last look counts as one. */
  private async findBatches(): Promise<void> {
    const { mtimeMs } = await stat(this.options.batchesDirectory);
    if (mtimeMs === this.listedAtMtimeMs) return;
    const isSettled = Date.now() - mtimeMs > 1_000;
    let allRead = true;
    for (const id of await this.context.batches.listIds()) {
      await this.adopt(id).catch((error: Error) => {
        allRead = false;
        this.context.log.warn({ batch: id, err: error }, 'the batch cannot be read; tried again later');
      });
    }
    if (isSettled && allRead) this.listedAtMtimeMs = mtimeMs;
  }

  private async adopt(batchId: string): Promise<void> {
    if (this.over.has(batchId) || this.runs.has(batchId)) return;
    const manifest = await this.context.batches.read(batchId);
    if (manifest === null || this.runs.has(batchId)) return;
    if (isTerminal(manifest.batch.status)) {
      this.over.add(batchId);
      await this.context.batches.removeChunks(batchId);
      return;
    }
    const run = new ActiveBatch(this.context, this.options.processor, manifest);
    this.runs.set(batchId, run);
    try {
      await run.load();
    } catch (error) {
      this.runs.delete(batchId); // or it would count as taken up
      throw error;
    }
    void run.run().then(() => this.dismiss(run));
  }

  private mayWork(batchId: string): boolean {
    const suspect = [...this.runs.values()].find(({ wantsTurn }) => wantsTurn);
    return suspect === undefined || suspect.id === batchId;
  }

  private async dismiss(run: ActiveBatch): Promise<void> {
    if (!this.isRunning) return;
    this.runs.delete(run.id);
    if (isTerminal(run.status)) this.over.add(run.id);
    this.options.metrics.batchEnded(run.status);
    const { ledger } = run;
    if (ledger !== null) await this.attempt('forgetting chunks', () => this.pump.forget(ledger));
    this.feedSoon();
  }

  private async updatePause(): Promise<void> {
    if (this.options.queues.isReady()) this.redisSeenMs = Date.now();
    const isRedisAway = Date.now() - this.redisSeenMs > REDIS_AWAY_MS;
    this.pauseReason = (await this.context.disk.refusal(0)) ?? (isRedisAway ? 'Redis is not reachable' : null);
  }

  private async reconcileQueue(): Promise<void> {
    const { consumers } = this;
    if (consumers === null || !this.options.queues.isReady()) return;
    if (!consumers.isOpen) {
      await this.options.queues.clearChunks();
      this.openConsumers(consumers);
    }
    await this.pump.verify();
    await this.replaceIfStuck(consumers);
    this.feedSoon();
  }

  /** Not once the runner stops: `drain` has closed them. */
  private openConsumers(consumers: Consumers): void {
    this.lastTakenMs = Date.now();
    if (this.isRunning) consumers.open();
  }

  private async replaceIfStuck(consumers: Consumers): Promise<void> {
    const isIdle = [...this.runs.values()].every((run) => run.runningChunks === 0);
    if (this.pump.waitingChunks === 0 || !isIdle) this.lastTakenMs = Date.now();
    if (Date.now() - this.lastTakenMs < CONSUMER_STUCK_MS) return;
    this.context.log.error('chunks are waiting but none is taken; replacing the consumers');
    await consumers.close(1_000);
    this.openConsumers(consumers);
  }

  /** A batch was created or is to be cancelled. */
  async look(batchId: string): Promise<void> {
    if (!this.isRunning) return;
    await this.adopt(batchId);
    await this.runs.get(batchId)?.tick(this.pauseReason);
  }

  /** Does one chunk. Rejects for a chunk that is to be done again, and with `ChunkNotWanted`. */
  async processChunk({ batchId, chunkIndex }: ChunkPayload, jobId: string): Promise<'committed' | 'skipped'> {
    this.lastTakenMs = Date.now();
    if (!this.isRunning) throw new ChunkPutBack(`the batch runner is ${this.current}`);
    const run = this.runs.get(batchId);
    if (run === undefined) throw new ChunkNotWanted(`batch ${batchId} is over or unknown`);
    try {
      return await run.processChunk(chunkIndex, jobId);
    } catch (error) {
      if (!(error instanceof ChunkNotWanted)) this.explainPutBack(run, chunkIndex, error as Error);
      throw error;
    } finally {
      this.feedSoon();
    }
  }

  private explainPutBack(run: ActiveBatch, chunkIndex: number, error: Error): void {
    this.options.metrics.chunk('put_back');
    this.context.log.warn({ batch: run.id, chunk: chunkIndex, err: error }, 'chunk put back; it will be retried');
  }

  /** Feeds once after whatever asked for it in the meantime. */
  private feedSoon(): void {
    if (this.isFeedQueued) return;
    this.isFeedQueued = true;
    this.feeding = this.feeding.then(async () => {
      this.isFeedQueued = false;
      if (this.consumers?.isOpen !== true || this.pauseReason !== null || !this.options.queues.isReady()) return;
      await this.attempt('feeding', () => this.pump.feed(({ batchId }) => this.mayWork(batchId)));
    });
  }

  private countCommit(result: ChunkResult): void {
    this.rate.add(result.completed + result.failed);
    this.options.metrics.chunk('committed');
    this.options.metrics.rows(result);
  }

  private async sweep(): Promise<void> {
    this.sweptMs = Date.now();
    const expired = await this.context.files.sweep(async (batchId) => this.runs.has(batchId));
    if (expired.length > 0) this.context.log.info({ files: expired }, 'expired files removed');
    await this.context.batches.removeAbandoned(ABANDONED_MS);
  }
}

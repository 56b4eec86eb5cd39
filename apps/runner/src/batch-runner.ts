import type { RunnerProcessStatus } from '@app/contracts';
import { isTerminal, type ChunkResult, type Manifest } from '@app/batches';
import { CHUNK_RETRY_MS_MAX, parseChunkJobId, withDeadline, type BatchQueues, type ChunkEvents, type ChunkPayload } from '@app/queues';
import { ChunkForAnother, ChunkNotWanted } from './chunks/batch-work';
import { chunkProgress, isChunkResult, type ChunkProgress, type DoneChunk } from './chunks/chunk-report';
import { ChunkDesk } from './chunks/chunk-desk';
import { OpenPins } from './chunks/open-pins';
import { ChunkPutBack, type ChunkProcessor } from './chunks/chunk-processor';
import { ChunkPump } from './chunks/chunk-pump';
import type { Janitor } from './janitor';
import { OwnedBatch } from './owned-batch';
import type { OwnerQueue } from './owner-queue';
import type { RunnerContext } from './runner-context';
import type { RunnerMetrics } from './runner-metrics';
import { RowRate } from './chunks/row-rate';
import { shareOf } from './progress/share-of';
import type { WebhookOutbox } from './webhooks/webhook-outbox';

export interface BatchRunnerOptions {
  context: Omit<RunnerContext, 'isStopping' | 'onCommitted' | 'onOver'>;
  processor: ChunkProcessor;
  queues: BatchQueues;
  metrics: RunnerMetrics;
  janitor: Janitor;
  chunkConcurrency: number;
  chunksQueuedMax: number;
  /** Time between two looks at the store for what Redis did not tell. */
  reconcileMs: number;
  /** Why this node may not take batch work beside the others of its fleet; null: it may. */
  refusal: () => Promise<string | null>;
  webhooks: WebhookOutbox;
}

/** What brings batches and chunks to the runner, by `own` and `processChunk`. */
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
/** A batch that nobody here owns is queued again after this time, in case Redis has lost it. */
const REQUEUE_MS = 10_000;
const REQUEUED_MAX = 1_000;
const SWEEP_MS = 10 * 60 * 1000;
const ENDED_KEPT_MAX = 20;

/**
 * The batch lane of one node. It owns batches (at most one node owns a batch at a time, by the lock of the batch's job), hands
 * their chunks to Redis, and does chunks of any batch, its own or another node's. Redis may lose everything at any time; a look
 * at the store every `reconcileMs` brings it back.
 *
 * | state    | batches and chunks                  | left by                              |
 * |----------|-------------------------------------|--------------------------------------|
 * | new      | are put back                        | start → running; stop → stopping     |
 * | running  | are taken                           | stop → stopping                      |
 * | stopping | as new; chunks that run are drained | drained, or the time is up → stopped |
 * | stopped  | as new                              | –                                    |
 */
export class BatchRunner {
  private readonly context: RunnerContext;
  private ended: NonNullable<RunnerProcessStatus['ended']> = [];
  private readonly owned = new Map<string, { batch: OwnedBatch; done: Promise<void> }>();
  private readonly takingUp = new Map<string, Promise<void>>();
  private readonly desk: ChunkDesk;
  private readonly pump: ChunkPump;
  private readonly rate = new RowRate();
  private readonly pins: OpenPins;
  private consumers: Consumers | null = null;
  private events: ChunkEvents | null = null;
  private current: RunnerState = 'new';
  private stopped: Promise<void> | null = null;
  private timer: NodeJS.Timeout | null = null;
  private reconciling: Promise<void> = Promise.resolve();
  private feeding: Promise<void> = Promise.resolve();
  private isFeedQueued = false;
  private isUpgraded = false;
  private lastTakenMs = Date.now();
  private redisSeenMs = Date.now();
  /** When batches that this node does not own were queued. */
  private queuedMs = new Map<string, number>();
  private sweptMs = 0;
  private pauseReason: string | null = null;
  /** Why nothing is taken; null: it is. */
  private refusal: string | null = null;

  constructor(private readonly options: BatchRunnerOptions) {
    this.context = {
      ...options.context,
      isStopping: () => !this.isRunning,
      onCommitted: (result, isFirst) => this.countCommit(result, isFirst),
      onOver: (manifest) =>
        this.close(manifest).catch((error: Error) =>
          this.context.log.warn({ batch_id: manifest.batch.id, err: error }, 'its end is told later'),
        ),
    };
    this.desk = new ChunkDesk(this.context, options.processor);
    this.pins = new OpenPins(this.context.batches, this.context.engine);
    this.pump = new ChunkPump(options.queues, () => this.batches.flatMap(({ fed }) => fed ?? []), {
      waitingMax: options.chunkConcurrency * 2,
      chunksQueuedMax: options.chunksQueuedMax,
    });
  }

  get state(): RunnerState {
    return this.current;
  }

  /** What is in work is to be given back. */
  get isEnding(): boolean {
    return this.current === 'stopping' || this.current === 'stopped';
  }

  /** Works with what the consumers bring; they are opened once Redis is there. Throws unless it is new. */
  start(consumers: Consumers): void {
    if (this.current !== 'new') throw new Error(`batch runner: expected state new but it is ${this.current}`);
    this.consumers = consumers;
    this.enter('running');
    this.scheduleReconcile(0);
  }

  /**
   * Begins nothing new, lets go of the batches, gives chunks that run `drainMs` to finish and puts back those that do not.
   * Committed work is safe in any case; the process may exit when this resolves. Safe to call twice; the first call's time counts.
   */
  stop(drainMs: number): Promise<void> {
    this.stopped ??= this.drain(drainMs);
    return this.stopped;
  }

  /** Batches that this node owns, and chunks that it works on. */
  status(): RunnerProcessStatus {
    const batches = this.batches.map((batch) => ({
      id: batch.id,
      status: batch.status,
      ...batch.rows,
      runningChunks: batch.runningChunks,
      paused: batch.paused,
      secondsLeft: batch.secondsLeft,
      model: batch.model,
      endpoint: batch.endpoint,
      progress: batch.progress,
      progressAgeSeconds: batch.progressAgeSeconds,
    }));
    return {
      batches,
      rowsPerSecond: this.rate.perSecond(),
      backlogSeconds: this.batches.reduce((sum, { backlogSeconds }) => sum + backlogSeconds, 0),
      chunks: { running: this.desk.runningChunks, waiting: this.pump.waitingChunks, oldestSeconds: this.oldestChunkSeconds() },
      redisIsReady: this.options.queues.isReady(),
      ended: this.ended,
      pinnedRevisions: this.pins.revisions([...this.batches.flatMap(({ pin }) => pin ?? []), ...this.desk.pins()]),
    };
  }

  /**
   * Takes a batch to its end. Resolves when it is over, unknown, or turns out to be another node's; rejects when it is to be
   * brought again. Of two calls for one batch, as after a loss of Redis, the second waits for the first.
   */
  async own(batchId: string): Promise<void> {
    this.requireRunning();
    if (!this.owned.has(batchId)) await this.takeUpOnce(batchId);
    await this.owned.get(batchId)?.done;
    this.requireRunning();
  }

  /** Does one chunk. Null: this node does it already. Rejects for a chunk that is to be done again, and with `ChunkNotWanted`. */
  async processChunk(chunk: ChunkPayload): Promise<DoneChunk | null> {
    this.lastTakenMs = Date.now();
    this.requireRunning();
    try {
      return await this.desk.process(chunk);
    } catch (error) {
      if (!(error instanceof ChunkNotWanted || error instanceof ChunkForAnother)) this.explainPutBack(chunk, error as Error);
      throw error;
    }
  }

  /** How far a chunk that runs here is. */
  progressOf(chunk: ChunkPayload): ChunkProgress {
    return { rows: this.desk.rowsOf(chunk), node: this.context.nodeId };
  }

  private oldestChunkSeconds(): number {
    const since = this.batches.flatMap(({ ledger }) => ledger?.runningSinceMs ?? []);
    return Math.max(0, Date.now() - Math.min(Date.now(), ...since)) / 1000;
  }

  private get batches(): OwnedBatch[] {
    return [...this.owned.values()].map(({ batch }) => batch);
  }

  private requireRunning(): void {
    if (!this.isRunning) throw new ChunkPutBack(`the batch runner is ${this.current}`);
  }

  /** One at a time: a second would put its own copy of the manifest in the place of the owner's, and no chunk would be wanted any more. */
  private takeUpOnce(batchId: string): Promise<void> {
    const taking = this.takingUp.get(batchId) ?? this.takeUp(batchId).finally(() => this.takingUp.delete(batchId));
    this.takingUp.set(batchId, taking);
    return taking.catch((error: unknown) => this.explainNotTaken(batchId, error));
  }

  /** Owns the batch, unless there is nothing to own. */
  private async takeUp(batchId: string): Promise<void> {
    const stored = await this.context.batches.readForUpdate(batchId);
    if (stored === null) return;
    const { manifest, version } = stored;
    if (isTerminal(manifest.batch.status)) return this.close(manifest);
    const work = await this.desk.openOwned(manifest);
    const queue: OwnerQueue = {
      adoptJobs: (ledger) => this.pump.adoptJobs(ledger),
      onFeedable: () => this.feedSoon(),
      shareOf: (asking) => shareOf(asking, this.batches),
      forget: (ledger) => this.attempt('forgetting chunks', () => this.pump.forget(ledger)),
    };
    const batch = new OwnedBatch(this.context, this.desk, queue, work, manifest, version);
    this.owned.set(batchId, { batch, done: batch.run().then(() => this.dismiss(batch)) });
  }

  private async close(manifest: Manifest): Promise<void> {
    await this.options.webhooks.put(manifest);
    await this.context.batches.close(manifest.batch.id);
  }

  private async drain(drainMs: number): Promise<void> {
    this.enter('stopping');
    if (this.timer !== null) clearTimeout(this.timer);
    for (const batch of this.batches) batch.leave();
    const abortAt = setTimeout(() => this.desk.stopAll('put_back'), drainMs);
    await this.consumers?.close(drainMs + 1_000);
    clearTimeout(abortAt);
    this.desk.stopAll('put_back');
    await this.events?.close().catch(() => undefined);
    await withDeadline(this.reconciling, 1_000, 'reconciler').catch(() => undefined);
    this.enter('stopped');
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
    if (!this.isUpgraded) await this.attempt('upgrading the store', () => this.upgrade());
    await this.attempt('looking for pauses', () => this.updatePause());
    if (this.isUpgraded) await this.attempt('models of open batches', () => this.pins.refresh());
    await this.attempt('chunks', () => this.desk.tick());
    for (const batch of this.batches) await this.attempt('batch', () => batch.tick(this.pauseReason));
    await this.attempt('queue', () => this.reconcileQueue());
    if (this.options.queues.isReady() && Date.now() - this.sweptMs > SWEEP_MS) await this.attempt('sweeping', () => this.sweep());
  }

  private async attempt(what: string, work: () => Promise<void>): Promise<void> {
    if (!this.isRunning) return;
    try {
      await work();
    } catch (error) {
      this.context.log.warn({ err: error }, `${what}: tried again later`);
    }
  }

  private async upgrade(): Promise<void> {
    await this.context.batches.upgrade();
    this.isUpgraded = true;
  }

  /** Queues the open batches of which Redis may not know: it was away when they came, or it has lost them. */
  private async queueOpenBatches(): Promise<void> {
    const open = await this.context.batches.listOpenIds();
    this.pins.keepOnly(open);
    const unowned = open.filter((id) => !this.owned.has(id));
    this.queuedMs = new Map(unowned.map((id) => [id, this.queuedMs.get(id) ?? -Infinity]));
    const due = unowned.filter((id) => Date.now() - (this.queuedMs.get(id) ?? 0) > REQUEUE_MS).slice(0, REQUEUED_MAX);
    if (due.length === 0) return;
    await this.options.queues.addBatches(due);
    for (const id of due) this.queuedMs.set(id, Date.now());
  }

  private async dismiss(batch: OwnedBatch): Promise<void> {
    this.owned.delete(batch.id);
    this.desk.release(batch.id);
    const { ledger } = batch;
    if (!this.isRunning) return;
    if (isTerminal(batch.status) && !batch.isLost) {
      this.options.metrics.batchEnded(batch.status);
      this.ended = [...this.ended, { id: batch.id, status: batch.status, ...batch.rows }].slice(-ENDED_KEPT_MAX);
      await this.context.crashMarks.remove(batch.id);
      if (ledger !== null) await this.attempt('forgetting chunks', () => this.pump.forget(ledger));
    }
    this.feedSoon();
  }

  private async updatePause(): Promise<void> {
    if (await this.options.queues.answers()) this.redisSeenMs = Date.now();
    const isRedisAway = Date.now() - this.redisSeenMs > REDIS_AWAY_MS;
    this.refusal = await this.options.refusal();
    this.pauseReason = (await this.context.store.refusal(0)) ?? (isRedisAway ? 'Redis is not reachable' : this.refusal);
  }

  private async reconcileQueue(): Promise<void> {
    const { consumers } = this;
    if (consumers === null || !this.isUpgraded || !this.options.queues.isReady()) return;
    if (this.refusal !== null) return this.closeConsumers(consumers, this.refusal);
    if (!consumers.isOpen) {
      await this.options.queues.releaseJobsOf(this.context.nodeId);
      await this.desk.openMarked();
      this.openConsumers(consumers);
    }
    await this.queueOpenBatches();
    await this.options.webhooks.queueWaiting();
    await this.pump.verify((ledger, index) => this.findResult(ledger.batchId, index));
    await this.replaceIfStuck(consumers);
    this.feedSoon();
  }

  private async closeConsumers(consumers: Consumers, reason: string): Promise<void> {
    if (!consumers.isOpen) return;
    this.context.log.error(reason);
    await consumers.close(1_000);
  }

  /** Not once the runner stops: `drain` has closed them. */
  private openConsumers(consumers: Consumers): void {
    this.lastTakenMs = Date.now();
    if (!this.isRunning) return;
    this.events ??= this.listen();
    consumers.open();
  }

  private listen(): ChunkEvents {
    const batchOf = (jobId: string) => this.owned.get(parseChunkJobId(jobId)?.batchId ?? '')?.batch;
    return this.options.queues.listen({
      onMoved: (jobId, state) => {
        const batch = batchOf(jobId);
        const ledger = batch?.ledger ?? null;
        const chunkIndex = parseChunkJobId(jobId)?.chunkIndex;
        if (batch === undefined || ledger === null || chunkIndex === undefined) return;
        this.pump.note(ledger, jobId, state);
        if (state === 'delayed') void this.attempt('asking for a failure', () => this.askWhy(batch, chunkIndex, jobId));
        if (state === 'active') this.feedSoon();
      },
      onProgress: (jobId, value) => {
        const [chunk, progress] = [parseChunkJobId(jobId), chunkProgress(value)];
        if (chunk !== null && progress !== null) batchOf(jobId)?.noteProgress(chunk.chunkIndex, progress);
      },
      onCompleted: (jobId, value) => {
        const batch = batchOf(jobId);
        if (batch === undefined || !isChunkResult(value) || value.index !== parseChunkJobId(jobId)?.chunkIndex) return;
        batch.commit(value);
        this.feedSoon();
      },
      onRefused: (jobId) => batchOf(jobId)?.refuse(jobId),
      onChangeRequested: (batchId) => {
        void this.attempt('change', () => this.desk.lookForEnd(batchId));
        void this.attempt('change', async () => this.owned.get(batchId)?.batch.lookForChange());
      },
    });
  }

  private async askWhy(batch: OwnedBatch, chunkIndex: number, jobId: string): Promise<void> {
    const reason = await this.options.queues.chunkFailure(jobId);
    if (reason !== null) batch.explainPutBack(chunkIndex, reason);
  }

  private async findResult(batchId: string, index: number): Promise<ChunkResult | null> {
    const result = await this.context.batches.results(batchId).find(index);
    if (result !== null) this.owned.get(batchId)?.batch.commit(result);
    return result;
  }

  private async replaceIfStuck(consumers: Consumers): Promise<void> {
    if (this.pump.waitingChunks === 0 || this.desk.runningChunks > 0) this.lastTakenMs = Date.now();
    if (Date.now() - this.lastTakenMs < CONSUMER_STUCK_MS) return;
    this.context.log.error('chunks are waiting but none is taken; replacing the consumers');
    await consumers.close(1_000);
    this.openConsumers(consumers);
  }

  private explainNotTaken(batchId: string, error: unknown): never {
    this.context.log.warn({ batch_id: batchId, err: error }, 'the batch cannot be taken up; it will be tried again');
    throw error;
  }

  private explainPutBack({ batchId, chunkIndex }: ChunkPayload, error: Error): void {
    this.options.metrics.chunk('put_back');
    // That one is meant: the lane is paused, or the process ends.
    const [level, why] = error instanceof ChunkPutBack ? (['info', {}] as const) : (['warn', { err: error }] as const);
    this.context.log[level]({ batch_id: batchId, chunk: chunkIndex, ...why }, 'chunk put back; it will be retried');
  }

  /** Feeds once after whatever asked for it in the meantime. */
  private feedSoon(): void {
    if (this.isFeedQueued) return;
    this.isFeedQueued = true;
    this.feeding = this.feeding.then(async () => {
      this.isFeedQueued = false;
      if (this.consumers?.isOpen !== true || this.pauseReason !== null || !this.options.queues.isReady()) return;
      await this.attempt('feeding', () => this.pump.feed());
    });
  }

  private countCommit(result: ChunkResult, isFirst: boolean): void {
    this.options.metrics.chunk(isFirst ? 'committed' : 'duplicate');
    if (!isFirst) return;
    this.rate.add(result.completed + result.failed);
    this.options.metrics.rows(result);
  }

  /** By one node of the fleet at a time. */
  private async sweep(): Promise<void> {
    this.sweptMs = Date.now();
    if (!(await this.options.queues.claim('sweep', SWEEP_MS))) return;
    await this.options.janitor.sweep();
  }
}

import type { BatchQueues, ChunkPayload } from '@app/queues';
import type { ActiveBatch } from '../active-batch';

/** A chunk that was handed to Redis and has not been heard of since, for this long, is looked for. */
const VERIFY_AFTER_MS = 2_000;
/** A chunk that Redis says is being done, but nobody here does: its hand-over was lost with a connection. */
const LOST_AFTER_MS = 10_000;

interface QueuedChunk {
  jobId: string;
  run: ActiveBatch;
  chunkIndex: number;
  queuedAtMs: number;
  isRunning: boolean;
}

export interface PumpLimits {
  /** Chunks that wait in Redis, over all batches: enough that the workers never wait, few enough to stay fair. */
  waitingMax: number;
  chunksQueuedMax: number;
}

/**
 * Keeps a few chunks of every batch in Redis, one of each in turn, and notices those that Redis lost. What waits beyond
 * that is known from the manifests alone, so a new batch never stands behind all chunks of an old one.
 */
export class ChunkPump {
  private readonly queued = new Map<string, QueuedChunk>();
  private turn = 0;

  constructor(
    private readonly queues: BatchQueues,
    private readonly limits: PumpLimits,
  ) {}

  get waitingChunks(): number {
    let waiting = 0;
    for (const chunk of this.queued.values()) if (!chunk.isRunning) waiting += 1;
    return waiting;
  }

  /** Fills Redis up. Rejects when Redis is away; the chunks are then given back. */
  async feed(runs: ActiveBatch[]): Promise<void> {
    const fresh: QueuedChunk[] = [];
    for (let room = this.limits.waitingMax - this.waitingChunks; room > 0; room--) {
      const next = this.takeNext(runs);
      if (next === null) break;
      this.queued.set(keyOf(next.run.id, next.chunkIndex), next);
      fresh.push(next);
    }
    if (fresh.length === 0) return;
    try {
      await this.queues.addChunks(fresh.map(({ jobId, run, chunkIndex }) => ({ jobId, payload: { batchId: run.id, chunkIndex } })));
    } catch (error) {
      // Some may have arrived; they are harmless, because a chunk that is there twice is done once.
      for (const chunk of fresh) this.loseUnlessRunning(chunk);
      throw error;
    }
  }

  started(payload: ChunkPayload): void {
    const chunk = this.queued.get(keyOf(payload.batchId, payload.chunkIndex));
    if (chunk !== undefined) chunk.isRunning = true;
  }

  finished(payload: ChunkPayload): void {
    this.queued.delete(keyOf(payload.batchId, payload.chunkIndex));
  }

  /** Gives back what Redis does not know any more: it was flushed, restored or replaced. */
  async verify(): Promise<void> {
    const now = Date.now();
    for (const chunk of [...this.queued.values()]) {
      if (chunk.isRunning || now - chunk.queuedAtMs < VERIFY_AFTER_MS) continue;
      const state = await this.queues.chunkState(chunk.jobId);
      const isLost = state === 'gone' || (state === 'active' && now - chunk.queuedAtMs > LOST_AFTER_MS);
      if (isLost) this.loseUnlessRunning(chunk);
    }
  }

  /** Drops the waiting chunks of a batch that is over. Best effort: what stays is skipped when its turn comes. */
  async forget(batchId: string): Promise<void> {
    const waiting = [...this.queued.values()].filter((chunk) => chunk.run.id === batchId && !chunk.isRunning);
    for (const chunk of waiting) this.queued.delete(keyOf(batchId, chunk.chunkIndex));
    await this.queues.removeChunks(waiting.map(({ jobId }) => jobId));
  }

  private takeNext(runs: ActiveBatch[]): QueuedChunk | null {
    for (let tried = 0; tried < runs.length; tried++) {
      const run = runs[this.turn++ % runs.length];
      if (run === undefined || this.countOf(run) >= this.limits.chunksQueuedMax) continue;
      const next = run.takeChunk();
      if (next === null) continue;
      const { chunkIndex, attempt } = next;
      const jobId = `${run.id}-${chunkIndex}${attempt === 0 ? '' : `-r${attempt}`}`;
      return { jobId, run, chunkIndex, queuedAtMs: Date.now(), isRunning: false };
    }
    return null;
  }

  private countOf(run: ActiveBatch): number {
    let count = 0;
    for (const chunk of this.queued.values()) if (chunk.run === run) count += 1;
    return count;
  }

  private loseUnlessRunning(chunk: QueuedChunk): void {
    if (chunk.isRunning || !this.queued.delete(keyOf(chunk.run.id, chunk.chunkIndex))) return;
    chunk.run.giveBack(chunk.chunkIndex);
  }
}

const keyOf = (batchId: string, chunkIndex: number): string => `${batchId}-${chunkIndex}`;

import type { BatchQueues } from '@app/queues';
import type { ChunkLedger, WaitingChunk } from './chunk-ledger';

/** A chunk that was handed to Redis and has not been heard of since, for this long, is looked for. */
const VERIFY_AFTER_MS = 2_000;
/** A chunk that Redis says is being done, but nobody here does: its hand-over was lost with a connection. */
const LOST_AFTER_MS = 10_000;

export interface PumpLimits {
  /** Chunks that were never tried and wait in Redis, over all batches: enough that the consumers never wait, few enough to stay fair. */
  waitingMax: number;
  /** Chunks of one batch in Redis. */
  chunksQueuedMax: number;
}

/**
 * Keeps a few chunks of every batch in Redis, one of each in turn, and notices those that Redis lost. What waits beyond
 * that is known from the ledgers alone, so a new batch never stands behind all chunks of an old one. Redis deals chunks,
 * so that several runners can share them; today one does.
 */
export class ChunkPump {
  private turn = 0;
  /** Makes each job's id new: BullMQ takes no second job of a name that it remembers. */
  private handOvers = 0;

  constructor(
    private readonly queues: BatchQueues,
    private readonly ledgers: () => ChunkLedger[],
    private readonly limits: PumpLimits,
  ) {}

  /** Chunks in Redis that nobody works on. */
  get waitingChunks(): number {
    return this.count('queued', 'returned');
  }

  /** Fills Redis up from the ledgers that may have their turn. Rejects when Redis is away; the chunks are then given back. */
  async feed(mayFeed: (ledger: ChunkLedger) => boolean): Promise<void> {
    const ledgers = this.ledgers().filter(mayFeed);
    const fresh: { ledger: ChunkLedger; chunk: WaitingChunk }[] = [];
    for (let room = this.limits.waitingMax - this.count('queued'); room > 0; room--) {
      const next = this.takeNext(ledgers);
      if (next === null) break;
      fresh.push(next);
    }
    if (fresh.length === 0) return;
    try {
      await this.queues.addChunks(
        fresh.map(({ ledger, chunk }) => ({ jobId: chunk.jobId, payload: { batchId: ledger.batchId, chunkIndex: chunk.index } })),
      );
    } catch (error) {
      // Some may have arrived; they are harmless, because a chunk that is there twice is done once.
      for (const { ledger, chunk } of fresh) ledger.lose(chunk);
      throw error;
    }
  }

  /** Gives back what Redis does not know any more: it was flushed, restored or replaced. */
  async verify(): Promise<void> {
    for (const ledger of this.ledgers()) {
      for (const chunk of ledger.waiting()) if (await this.isLost(chunk)) ledger.lose(chunk);
    }
  }

  /** Drops the waiting chunks of a batch that is over. Best effort: what stays is refused when its turn comes. */
  async forget(ledger: ChunkLedger): Promise<void> {
    const waiting = ledger.waiting();
    for (const chunk of waiting) ledger.lose(chunk);
    await this.queues.removeChunks(waiting.map(({ jobId }) => jobId));
  }

  private async isLost({ jobId, sinceMs }: WaitingChunk): Promise<boolean> {
    const waitedMs = Date.now() - sinceMs;
    if (waitedMs < VERIFY_AFTER_MS) return false;
    const inRedis = await this.queues.chunkState(jobId);
    return inRedis === 'gone' || (inRedis === 'active' && waitedMs > LOST_AFTER_MS);
  }

  private takeNext(ledgers: ChunkLedger[]): { ledger: ChunkLedger; chunk: WaitingChunk } | null {
    for (let tried = 0; tried < ledgers.length; tried++) {
      const ledger = ledgers[this.turn++ % ledgers.length];
      if (ledger === undefined || ledger.count('queued', 'running', 'returned') >= this.limits.chunksQueuedMax) continue;
      const chunk = ledger.take(this.handOvers++);
      if (chunk !== null) return { ledger, chunk };
    }
    return null;
  }

  private count(...states: Parameters<ChunkLedger['count']>): number {
    return this.ledgers().reduce((sum, ledger) => sum + ledger.count(...states), 0);
  }
}

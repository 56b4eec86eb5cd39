import { randomBytes } from 'node:crypto';
import type { ChunkResult } from '@app/batches';
import { chunkJobId, parseChunkJobId, type BatchQueues, type ChunkJobState } from '@app/queues';
import type { ChunkLedger, ChunkState, HandedChunk } from './chunk-ledger';

/** A chunk in this state that has not been heard of for so long is asked for: its event may be lost. */
const ASK_AFTER_MS = { queued: 2_000, returned: 2_000, running: 10_000 };

const LEDGER_STATES = { waiting: 'queued', delayed: 'returned', active: 'running' } as const satisfies Record<ChunkJobState, ChunkState>;

export interface PumpLimits {
  /** Chunks of all batches of this owner that nobody has taken: enough that consumers never wait, few enough to stay fair. */
  waitingMax: number;
  /** Chunks of one batch that wait in Redis. */
  chunksQueuedMax: number;
}

/**
 * Keeps a few chunks of every batch of this owner in Redis, one of each in turn, for whichever node has time, and notices those
 * that Redis lost. What waits beyond that is known from the ledgers alone, so a new batch never stands behind all chunks of an
 * old one.
 */
export class ChunkPump {
  private turn = 0;
  private handOvers = 0;
  /** Makes each job's id new: BullMQ takes no second job of a name that it remembers. */
  private readonly session = randomBytes(4).toString('hex');

  constructor(
    private readonly queues: BatchQueues,
    private readonly ledgers: () => ChunkLedger[],
    private readonly limits: PumpLimits,
  ) {}

  /** Chunks in Redis that nobody works on. */
  get waitingChunks(): number {
    return this.count('queued', 'returned');
  }

  /** Takes over the jobs that an owner before this one left. Rejects when Redis is away. */
  async adoptJobs(ledger: ChunkLedger): Promise<void> {
    const jobs = await this.queues.openChunkJobs();
    for (const state of ['waiting', 'delayed', 'active'] as const) {
      for (const jobId of jobs[state]) {
        const chunk = parseChunkJobId(jobId);
        if (chunk?.batchId === ledger.batchId) ledger.adopt(chunk.chunkIndex, jobId, LEDGER_STATES[state]);
      }
    }
  }

  /** What an event says of a job. */
  note(ledger: ChunkLedger, jobId: string, state: ChunkJobState): void {
    const chunk = parseChunkJobId(jobId);
    if (chunk !== null) ledger.note(chunk.chunkIndex, jobId, LEDGER_STATES[state]);
  }

  /** Fills Redis up from the ledgers. Rejects when Redis is away; the chunks are then given back. */
  async feed(): Promise<void> {
    const ledgers = this.ledgers();
    const fresh: { ledger: ChunkLedger; chunk: HandedChunk }[] = [];
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
      // Some may have arrived; they are harmless, because the first result of a chunk stays.
      for (const { ledger, chunk } of fresh) ledger.lose(chunk);
      throw error;
    }
  }

  /** Asks Redis for chunks that were not heard of; `findResult` looks into the store for what Redis does not know any more. */
  async verify(findResult: (ledger: ChunkLedger, index: number) => Promise<ChunkResult | null>): Promise<void> {
    for (const ledger of this.ledgers()) {
      for (const chunk of ledger.handedChunks()) {
        if (Date.now() - chunk.sinceMs < ASK_AFTER_MS[chunk.state]) continue;
        const state = await this.queues.chunkState(chunk.jobId);
        if (state !== 'gone') ledger.note(chunk.index, chunk.jobId, LEDGER_STATES[state]);
        else if ((await findResult(ledger, chunk.index)) === null) ledger.lose(chunk);
      }
    }
  }

  /** Drops the waiting chunks of a batch that wants no more. Best effort: what stays is refused when its turn comes. */
  async forget(ledger: ChunkLedger): Promise<void> {
    const waiting = ledger.handedChunks().filter(({ state }) => state !== 'running');
    for (const chunk of waiting) ledger.lose(chunk);
    await this.queues.removeChunks(waiting.map(({ jobId }) => jobId));
  }

  private takeNext(ledgers: ChunkLedger[]): { ledger: ChunkLedger; chunk: HandedChunk } | null {
    for (let tried = 0; tried < ledgers.length; tried++) {
      const ledger = ledgers[this.turn++ % ledgers.length];
      if (ledger === undefined || ledger.count('queued', 'returned') >= this.limits.chunksQueuedMax) continue;
      const { batchId } = ledger;
      const chunk = ledger.take((chunkIndex) => chunkJobId({ batchId, chunkIndex }, `${this.session}x${this.handOvers++}`));
      if (chunk !== null) return { ledger, chunk };
    }
    return null;
  }

  private count(...states: Parameters<ChunkLedger['count']>): number {
    return this.ledgers().reduce((sum, ledger) => sum + ledger.count(...states), 0);
  }
}

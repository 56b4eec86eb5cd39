import { randomBytes } from 'node:crypto';
import type { ChunkResult } from '@app/batches';
import type { ChunkState, TraceCarrier } from '@app/contracts';
import { chunkJobId, isFirstChunkJob, parseChunkJobId, type BatchQueues, type ChunkJob, type ChunkJobState } from '@app/queues';
import type { ChunkLedger, HandedChunk } from './chunk-ledger';
import { FairTurns, type Share } from './fair-turns';

/** A chunk in this state that has not been heard of for so long is asked for: its event may be lost. */
const ASK_AFTER_MS = { queued: 2_000, returned: 2_000, running: 10_000 };
/** With fewer that run or are about to, the next chunk of a batch does not wait behind those of others. */
const FIRST_OF_BATCH = 2;
/** Such chunks that nobody has taken; more wait for their turn with the others. */
const FIRST_WAITING_MAX = 4;

/** Longer ones wait with the others, but for a batch of which nothing runs: they would keep small batches waiting as long. */
const FIRST_SECONDS_MAX = 1;

const LEDGER_STATES = { waiting: 'queued', delayed: 'returned', active: 'running' } as const satisfies Record<ChunkJobState, ChunkState>;

export interface PumpLimits {
  /** Chunks of all batches of this owner that nobody has taken: enough that consumers never wait, few enough to stay fair. */
  waitingMax: number;
  /** Chunks of one batch that wait in Redis. */
  chunksQueuedMax: number;
}

/** A batch of this owner as the pump sees it. */
export interface FedBatch {
  readonly ledger: ChunkLedger;
  readonly share: Share;
  /** What a chunk is predicted to cost. */
  secondsOf(index: number): number;
  /** As `Manifest.trace`. */
  readonly trace?: TraceCarrier;
}

interface Handover {
  batch: FedBatch;
  chunk: HandedChunk;
}

/**
 * Keeps a few chunks of every batch of this owner in Redis for whichever node has time, in turns by shares of predicted time, and notices
 * those that Redis lost. What waits beyond that is known from the ledgers alone, so a new batch never stands behind all chunks of an old
 * one. A batch of which little runs gets its next chunk through a queue of its own, if need be one that waits with the others.
 */
export class ChunkPump {
  private readonly turns = new FairTurns();
  private handOvers = 0;
  /** Makes each job's id new: BullMQ takes no second job of a name that it remembers. */
  private readonly session = randomBytes(4).toString('hex');

  constructor(
    private readonly queues: BatchQueues,
    private readonly batches: () => FedBatch[],
    private readonly limits: PumpLimits,
  ) {}

  /** Chunks in Redis that nobody works on. */
  get waitingChunks(): number {
    return this.batches().reduce((sum, { ledger }) => sum + ledger.count('queued', 'returned'), 0);
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
    const { fresh, withdrawn } = this.takeAll();
    if (fresh.length === 0) return;
    try {
      // One that somebody takes meanwhile is done twice at worst, and its first result counts.
      await this.queues.removeChunks(withdrawn);
      await this.queues.addChunks(fresh.map(jobOf));
    } catch (error) {
      // Some may have arrived; they are harmless, because the first result of a chunk stays.
      for (const { batch, chunk } of fresh) batch.ledger.lose(chunk);
      throw error;
    }
  }

  /** Asks Redis for chunks that were not heard of; `findResult` looks into the store for what Redis does not know any more. */
  async verify(findResult: (ledger: ChunkLedger, index: number) => Promise<ChunkResult | null>): Promise<void> {
    for (const { ledger } of this.batches()) {
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

  private takeAll(): { fresh: Handover[]; withdrawn: string[] } {
    const batches = this.batches();
    const queued = batches.flatMap(({ ledger }) => ledger.handedChunks()).filter(({ state }) => state === 'queued');
    const firstQueued = queued.filter(({ jobId }) => isFirstChunkJob(jobId)).length;
    const fresh: Handover[] = [];
    const withdrawn: string[] = [];
    for (let room = FIRST_WAITING_MAX - firstQueued; room > 0; room--) {
      const next = this.takeFirst(batches, withdrawn);
      if (next === null) break;
      fresh.push(next);
    }
    for (let room = this.limits.waitingMax - (queued.length - firstQueued); room > 0; room--) {
      const next = this.takeNext(batches, false);
      if (next === null) break;
      fresh.push(next);
    }
    return { fresh, withdrawn };
  }

  /** For the queue that waits for nobody: the last chunk of a batch that waits with others, or the next one if it is that batch's turn. */
  private takeFirst(batches: FedBatch[], withdrawn: string[]): Handover | null {
    for (const batch of batches) {
      const { ledger } = batch;
      if (!ledger.isOpen || ledger.nextIndex !== null || !runsLittle(batch)) continue;
      const waiting = ledger.handedChunks().find(({ state, jobId }) => state === 'queued' && !isFirstChunkJob(jobId));
      if (waiting === undefined || !mayBeFirst(batch, waiting.index)) continue;
      ledger.lose(waiting);
      withdrawn.push(waiting.jobId);
      return this.handOver(batch, true);
    }
    const next = this.nextOf(batches);
    const index = next?.ledger.nextIndex ?? null;
    return next !== null && index !== null && runsLittle(next) && mayBeFirst(next, index) ? this.takeNext(batches, true) : null;
  }

  private takeNext(batches: FedBatch[], isFirst: boolean): Handover | null {
    const batch = this.nextOf(batches);
    const handover = batch === null ? null : this.handOver(batch, isFirst);
    if (handover !== null) this.turns.charge(handover.batch.share, handover.batch.secondsOf(handover.chunk.index));
    return handover;
  }

  /** Whose turn it is. */
  private nextOf(batches: FedBatch[]): FedBatch | null {
    const { chunksQueuedMax } = this.limits;
    const willing = batches.filter(({ ledger }) => ledger.nextIndex !== null && ledger.count('queued', 'returned') < chunksQueuedMax);
    return this.turns.next(willing, ({ share }) => share);
  }

  private handOver(batch: FedBatch, isFirst: boolean): Handover | null {
    const { batchId } = batch.ledger;
    const chunk = batch.ledger.take((chunkIndex) => chunkJobId({ batchId, chunkIndex }, `${this.session}x${this.handOvers++}`, isFirst));
    return chunk === null ? null : { batch, chunk };
  }
}

/** Few of its chunks run or are about to. */
const runsLittle = (batch: FedBatch): boolean => runningOrNext(batch) < FIRST_OF_BATCH;

const mayBeFirst = (batch: FedBatch, index: number): boolean => runningOrNext(batch) === 0 || batch.secondsOf(index) <= FIRST_SECONDS_MAX;

const runningOrNext = ({ ledger }: FedBatch): number =>
  ledger.handedChunks().filter(({ state, jobId }) => state === 'running' || isFirstChunkJob(jobId)).length;

function jobOf({ batch, chunk }: Handover): ChunkJob {
  const { ledger, share, trace } = batch;
  const payload = { batchId: ledger.batchId, chunkIndex: chunk.index, weight: share.weight };
  return { jobId: chunk.jobId, payload, ...(trace !== undefined && { trace }) };
}

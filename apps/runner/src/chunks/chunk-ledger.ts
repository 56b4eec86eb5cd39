import type { ChunkResult } from '@app/batches';
import type { StopReason } from './chunk-processor';

interface Pending {
  state: 'pending';
}
/** A chunk with a job in Redis that nobody works on, since `sinceMs` (Unix). */
interface Waiting {
  state: 'queued' | 'returned';
  index: number;
  jobId: string;
  sinceMs: number;
}
interface Running {
  state: 'running';
  jobId: string;
  stop: AbortController;
}
interface Committed {
  state: 'committed';
  result: ChunkResult;
}

type Chunk = Pending | Waiting | Running | Committed;
export type ChunkState = Chunk['state'];
export type WaitingChunk = Readonly<Waiting>;

const PENDING: Pending = { state: 'pending' };

const NEXT: Readonly<Record<ChunkState, readonly ChunkState[]>> = {
  pending: ['queued', 'running', 'committed'],
  queued: ['running', 'pending', 'committed'],
  running: ['committed', 'returned'],
  returned: ['running', 'pending', 'committed'],
  committed: ['pending', 'committed'],
};

/** A job for a chunk that its batch does not want: the batch is over, stopped, or has no such chunk. */
export class ChunkNotWanted extends Error {
  override readonly name = 'ChunkNotWanted';
}

/**
 * What became of each chunk of one batch. Nothing else knows it: Redis may forget, repeat or delay jobs as it likes.
 *
 * | state     | who has the chunk          | left by                                                                       |
 * |-----------|----------------------------|-------------------------------------------------------------------------------|
 * | pending   | nobody                     | take → queued; start → running (a job that was thought lost); recover         |
 * | queued    | a new job in Redis         | start → running; lose → pending; recover                                      |
 * | running   | the consumer               | commit → committed; putBack → returned                                        |
 * | returned  | its job, in BullMQ's backoff | start → running; lose → pending; recover                                    |
 * | committed | the disk                   | recover, when its result is gone → pending                                    |
 *
 * `recover`, of what is on disk, makes a chunk with a result committed, whatever it was. `take` and `start` do
 * nothing while the ledger is closed.
 */
export class ChunkLedger {
  private readonly chunks: Chunk[];
  private readonly counts: Record<ChunkState, number>;
  /** No chunk before this one is pending. */
  private firstPending = 0;
  private mayStart = false;

  constructor(
    readonly batchId: string,
    chunkCount: number,
    private readonly now: () => number = Date.now,
  ) {
    this.chunks = new Array<Chunk>(chunkCount).fill(PENDING);
    this.counts = { pending: chunkCount, queued: 0, running: 0, returned: 0, committed: 0 };
  }

  get isOpen(): boolean {
    return this.mayStart;
  }

  get isComplete(): boolean {
    return this.counts.committed === this.chunks.length;
  }

  /** Chunks in a state, or in one of several. */
  count(...states: ChunkState[]): number {
    return states.reduce((sum, state) => sum + this.counts[state], 0);
  }

  stateOf(index: number): ChunkState {
    return this.at(index).state;
  }

  resultOf(index: number): ChunkResult | null {
    const chunk = this.at(index);
    return chunk.state === 'committed' ? chunk.result : null;
  }

  /** The rows of the committed chunks. */
  rows(): { completed: number; failed: number } {
    const rows = { completed: 0, failed: 0 };
    for (const chunk of this.chunks) {
      if (chunk.state !== 'committed') continue;
      rows.completed += chunk.result.completed;
      rows.failed += chunk.result.failed;
    }
    return rows;
  }

  /** Lets chunks be taken and started. */
  open(): void {
    this.mayStart = true;
  }

  close(): void {
    this.mayStart = false;
  }

  /** Takes over what is on disk. Throws while a chunk is running: half a result may be on disk then. */
  recover(results: ReadonlyMap<number, ChunkResult>): void {
    if (this.counts.running > 0) throw new Error(`batch ${this.batchId}: expected no running chunks but found ${this.counts.running}`);
    for (let index = 0; index < this.chunks.length; index++) {
      const result = results.get(index);
      if (result !== undefined) this.enter(index, { state: 'committed', result });
      else if (this.stateOf(index) === 'committed') this.enter(index, PENDING);
    }
  }

  /** The first pending chunk, to be queued as job `<batch>-<chunk>-<handOver>`. Null: none. */
  take(handOver: number): WaitingChunk | null {
    if (!this.mayStart) return null;
    while (this.firstPending < this.chunks.length && this.stateOf(this.firstPending) !== 'pending') this.firstPending++;
    if (this.firstPending === this.chunks.length) return null;
    const index = this.firstPending++;
    const chunk = { state: 'queued' as const, index, jobId: `${this.batchId}-${index}-${handOver}`, sinceMs: this.now() };
    this.enter(index, chunk);
    return chunk;
  }

  /** What stops the chunk. Null: it is running or committed, so the job is one too many. Throws `ChunkNotWanted`. */
  start(index: number, jobId: string): AbortController | null {
    if (!this.mayStart) throw new ChunkNotWanted(`batch ${this.batchId} does not want its chunks now`);
    if (this.chunks[index] === undefined)
      throw new ChunkNotWanted(`batch ${this.batchId}: expected a chunk below ${this.chunks.length} but received ${index}`);
    const state = this.stateOf(index);
    if (state === 'running' || state === 'committed') return null;
    const stop = new AbortController();
    this.enter(index, { state: 'running', jobId, stop });
    return stop;
  }

  commit(result: ChunkResult): void {
    this.running(result.index);
    this.enter(result.index, { state: 'committed', result });
  }

  /** The job of a running chunk fails, and BullMQ brings it again. */
  putBack(index: number): void {
    const { jobId } = this.running(index);
    this.enter(index, { state: 'returned', index, jobId, sinceMs: this.now() });
  }

  /** Redis does not know the job any more. Nothing happens to a chunk that has moved on since it was listed. */
  lose(waiting: WaitingChunk): void {
    if (this.chunks[waiting.index] === waiting) this.enter(waiting.index, PENDING);
  }

  /** The chunks that are queued or returned, as they are now. */
  waiting(): WaitingChunk[] {
    if (this.count('queued', 'returned') === 0) return [];
    return this.chunks.filter((chunk): chunk is Waiting => chunk.state === 'queued' || chunk.state === 'returned');
  }

  /** Stops the running chunks. */
  abort(reason: StopReason): void {
    if (this.counts.running === 0) return;
    for (const chunk of this.chunks) if (chunk.state === 'running') chunk.stop.abort(reason);
  }

  private running(index: number): Running {
    const chunk = this.at(index);
    if (chunk.state !== 'running') throw new Error(`chunk ${index} of ${this.batchId}: expected state running but it is ${chunk.state}`);
    return chunk;
  }

  private at(index: number): Chunk {
    const chunk = this.chunks[index];
    if (chunk === undefined) throw new RangeError(`expected a chunk below ${this.chunks.length} but received ${index}`);
    return chunk;
  }

  /** The one setter of a chunk's state. */
  private enter(index: number, chunk: Chunk): void {
    const from = this.stateOf(index);
    if (!NEXT[from].includes(chunk.state)) throw new Error(`chunk ${index} of ${this.batchId}: ${from} cannot become ${chunk.state}`);
    this.counts[from] -= 1;
    this.counts[chunk.state] += 1;
    this.chunks[index] = chunk;
    if (chunk.state === 'pending') this.firstPending = Math.min(this.firstPending, index);
  }
}

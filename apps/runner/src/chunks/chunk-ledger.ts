import { sumFailures, type ChunkResult } from '@app/batches';
import type { ChunkState } from '@app/contracts';

interface Pending {
  state: 'pending';
}
/** A chunk with a job in Redis, and since when (Unix milliseconds) it is known to be in this state. */
interface Handed {
  state: 'queued' | 'running' | 'returned';
  index: number;
  jobId: string;
  sinceMs: number;
}
interface Committed {
  state: 'committed';
  result: ChunkResult;
}

type Chunk = Pending | Handed | Committed;
export type HandedChunk = Readonly<Handed>;

const PENDING: Pending = { state: 'pending' };

/**
 * What became of each chunk of one batch, as its owner knows it: from the store, and from what Redis tells of the jobs. Redis
 * may forget, repeat or delay jobs as it likes.
 *
 * | state     | who has the chunk            | left by                                                       |
 * |-----------|------------------------------|---------------------------------------------------------------|
 * | pending   | nobody                       | take → queued; adopt → queued, running, returned; commit      |
 * | queued    | a job in Redis               | note → running, returned; lose → pending; commit              |
 * | running   | some node                    | note → queued (the node was lost), returned; lose; commit     |
 * | returned  | its job, in BullMQ's backoff | note → queued, running; lose → pending; commit                |
 * | committed | the store                    | recover, when its result is gone → pending                    |
 *
 * `recover`, of what is in the store, makes a chunk with a result committed, whatever it was. `take` does nothing while the
 * ledger is closed.
 */
export class ChunkLedger {
  private readonly chunks: Chunk[];
  private readonly counts: Record<ChunkState, number>;
  /** No chunk before this one is pending. */
  private firstPending = 0;
  private mayTake = false;
  /** The chunks with a job. */
  private readonly handedOut = new Set<number>();

  constructor(
    readonly batchId: string,
    chunkCount: number,
    private readonly now: () => number = Date.now,
    /** Told of each chunk that comes into another state. */
    private readonly onMoved: (index: number, from: ChunkState, to: ChunkState) => void = () => undefined,
  ) {
    this.chunks = new Array<Chunk>(chunkCount).fill(PENDING);
    this.counts = { pending: chunkCount, queued: 0, running: 0, returned: 0, committed: 0 };
  }

  get isOpen(): boolean {
    return this.mayTake;
  }

  /** Whether some node has a chunk, or is to get one. */
  get isHandedOut(): boolean {
    return this.handedOut.size > 0;
  }

  /** The chunk that `take` would take; null: none. */
  get nextIndex(): number | null {
    if (!this.mayTake) return null;
    while (this.firstPending < this.chunks.length && this.stateOf(this.firstPending) !== 'pending') this.firstPending++;
    return this.firstPending < this.chunks.length ? this.firstPending : null;
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

  /** When the chunk that has run longest was taken (Unix milliseconds); null: none runs. */
  get runningSinceMs(): number | null {
    const since = this.handedChunks().flatMap(({ state, sinceMs }) => (state === 'running' ? sinceMs : []));
    return since.length === 0 ? null : Math.min(...since);
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

  /** The failed rows of the committed chunks by code. */
  failures(): Record<string, number> {
    return sumFailures(this.chunks.flatMap((chunk) => (chunk.state === 'committed' ? chunk.result : [])));
  }

  /** Lets chunks be taken. */
  open(): void {
    this.mayTake = true;
  }

  close(): void {
    this.mayTake = false;
  }

  /** Takes over what is in the store. */
  recover(results: ReadonlyMap<number, ChunkResult>): void {
    for (let index = 0; index < this.chunks.length; index++) {
      const result = results.get(index);
      if (result !== undefined) this.enter(index, { state: 'committed', result });
      else if (this.stateOf(index) === 'committed') this.enter(index, PENDING);
    }
  }

  /** The first pending chunk, to be queued under the id that `jobId` makes of its index. Null: none. */
  take(jobId: (index: number) => string): HandedChunk | null {
    const index = this.nextIndex;
    if (index === null) return null;
    this.firstPending++;
    return this.hand(index, jobId(index), 'queued');
  }

  /** Takes over a job that was there before this owner. Nothing happens to a chunk that is not pending, or does not exist. */
  adopt(index: number, jobId: string, state: Handed['state']): void {
    if (this.chunks[index]?.state === 'pending') this.hand(index, jobId, state);
  }

  /** What Redis says of a job. Nothing happens unless it is the chunk's job. */
  note(index: number, jobId: string, state: Handed['state']): void {
    if (this.handed(index, jobId) !== null) this.hand(index, jobId, state);
  }

  /** The store has this result, whoever wrote it. False: that was known, or the batch has no such chunk. */
  commit(result: ChunkResult): boolean {
    const state = this.chunks[result.index]?.state;
    if (state === undefined || state === 'committed') return false;
    this.enter(result.index, { state: 'committed', result });
    return true;
  }

  /** Redis does not know the job any more, and the store has no result. Nothing happens unless it is the chunk's job. */
  lose({ index, jobId }: Pick<HandedChunk, 'index' | 'jobId'>): void {
    if (this.handed(index, jobId) !== null) this.enter(index, PENDING);
  }

  /** The chunks with a job, as they are now. */
  handedChunks(): HandedChunk[] {
    return [...this.handedOut].sort((one, other) => one - other).map((index) => this.chunks[index] as Handed);
  }

  private handed(index: number, jobId: string): Handed | null {
    const chunk = this.chunks[index];
    return chunk !== undefined && 'jobId' in chunk && chunk.jobId === jobId ? chunk : null;
  }

  private hand(index: number, jobId: string, state: Handed['state']): HandedChunk {
    const chunk: Handed = { state, index, jobId, sinceMs: this.now() };
    this.enter(index, chunk);
    return chunk;
  }

  private at(index: number): Chunk {
    const chunk = this.chunks[index];
    if (chunk === undefined) throw new RangeError(`expected a chunk below ${this.chunks.length} but received ${index}`);
    return chunk;
  }

  /** The one setter of a chunk's state. */
  private enter(index: number, chunk: Chunk): void {
    const before = this.stateOf(index);
    this.counts[before] -= 1;
    this.counts[chunk.state] += 1;
    this.chunks[index] = chunk;
    if ('jobId' in chunk) this.handedOut.add(index);
    else this.handedOut.delete(index);
    if (chunk.state === 'pending') this.firstPending = Math.min(this.firstPending, index);
    if (chunk.state !== before) this.onMoved(index, before, chunk.state);
  }
}

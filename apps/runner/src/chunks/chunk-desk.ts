import { isTerminal, type Manifest, type ModelPin } from '@app/batches';
import type { ChunkPayload } from '@app/queues';
import type { RunnerContext } from '../runner-context';
import { BatchWork, ChunkNotWanted } from './batch-work';
import type { DoneChunk } from './chunk-report';
import { ChunkPutBack, type ChunkProcessor, type StopReason } from './chunk-processor';

/** A batch of another node that has no chunk here for this long is closed; it is opened again when one comes. */
const IDLE_MS = 30_000;

/** Does the chunks that this node takes, whoever owns their batches. Batches are opened when their first chunk comes. */
export class ChunkDesk {
  private readonly works = new Map<string, BatchWork>();
  private readonly opening = new Map<string, Promise<BatchWork>>();

  constructor(
    private readonly context: RunnerContext,
    private readonly processor: ChunkProcessor,
  ) {}

  get runningChunks(): number {
    return [...this.works.values()].reduce((sum, work) => sum + work.runningChunks, 0);
  }

  /** The files that answer the rows of batches which have chunks here. */
  pins(): ModelPin[] {
    return [...this.works.values()].flatMap(({ manifest }) => manifest.pin ?? []);
  }

  /** For the owner of the batch, until it `release`s it. */
  async openOwned(manifest: Manifest): Promise<BatchWork> {
    const work = await this.open(manifest.batch.id, async () => manifest);
    work.renew(manifest);
    work.isOwned = true;
    return work;
  }

  /** Opens the open batches of which this node's runner may have crashed, before any other has chunks. */
  async openMarked(): Promise<void> {
    for (const batchId of await this.context.crashMarks.list()) {
      const manifest = await this.context.batches.read(batchId);
      if (manifest === null || isTerminal(manifest.batch.status)) await this.context.crashMarks.remove(batchId);
      else await this.open(batchId, async () => manifest);
    }
  }

  release(batchId: string): void {
    const work = this.works.get(batchId);
    if (work !== undefined) work.isOwned = false;
    if (work?.runningChunks === 0) this.works.delete(batchId);
  }

  /** Does one chunk. Null: it is being done here already. Rejects with `ChunkNotWanted`, or for a chunk that is to be done again. */
  async process(chunk: ChunkPayload): Promise<DoneChunk | null> {
    const { batchId } = chunk;
    const work = await this.open(batchId, () => this.manifestInProgress(batchId));
    // It was opened before the batch began, when its chunks were not known.
    if (work.manifest.batch.status === 'validating' && !work.isOwned) work.renew(await this.manifestInProgress(batchId));
    if (!this.mayWork(batchId)) throw new ChunkPutBack('another batch, of which the runner may have crashed, has this node to itself');
    return work.process(chunk);
  }

  /** As `BatchWork.rowsOf`. */
  rowsOf({ batchId, chunkIndex }: ChunkPayload): number {
    return this.works.get(batchId)?.rowsOf(chunkIndex) ?? 0;
  }

  /** False while another batch has a turn of its own, because runners of this node crashed while it was in work. */
  mayWork(batchId: string): boolean {
    const suspect = [...this.works.values()].find(({ crashRecord }) => crashRecord.isSuspect);
    return suspect === undefined || suspect.id === batchId;
  }

  stop(batchId: string, reason: StopReason): void {
    this.works.get(batchId)?.stop(reason);
  }

  stopAll(reason: StopReason): void {
    for (const work of this.works.values()) work.stop(reason);
  }

  /** Stops chunks whose batches are cancelled or over their time, and closes what nothing came for. */
  async tick(): Promise<void> {
    for (const work of this.works.values()) {
      if (work.runningChunks > 0) await this.stopIfEnded(work);
      else if (!work.isOwned && work.idleMs > IDLE_MS) await this.close(work);
    }
  }

  private async close(work: BatchWork): Promise<void> {
    this.works.delete(work.id);
    if (!work.crashRecord.hasDeaths) await this.context.crashMarks.remove(work.id);
  }

  /** Somebody asked to cancel this batch. */
  async lookForEnd(batchId: string): Promise<void> {
    const work = this.works.get(batchId);
    if (work !== undefined) await this.stopIfEnded(work);
  }

  private async stopIfEnded(work: BatchWork): Promise<void> {
    if ((await this.context.batches.cancelRequestedAt(work.id)) !== null) work.stop('batch_cancelled');
    else if (work.isExpired) work.stop('batch_expired');
  }

  private open(batchId: string, read: () => Promise<Manifest>): Promise<BatchWork> {
    const known = this.works.get(batchId);
    if (known !== undefined) return Promise.resolve(known);
    const opening = this.opening.get(batchId) ?? this.load(read).finally(() => this.opening.delete(batchId));
    this.opening.set(batchId, opening);
    return opening;
  }

  private async load(read: () => Promise<Manifest>): Promise<BatchWork> {
    const work = new BatchWork(this.context, this.processor, await read());
    await work.crashRecord.load();
    this.works.set(work.id, work);
    return work;
  }

  private async manifestInProgress(batchId: string): Promise<Manifest> {
    const manifest = await this.context.batches.read(batchId);
    if (manifest?.batch.status !== 'in_progress') throw new ChunkNotWanted(`batch ${batchId} is not in progress`);
    return manifest;
  }
}

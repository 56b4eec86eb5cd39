import type { Manifest } from '@app/batches';
import type { ChunkPayload } from '@app/queues';
import type { Span } from '@app/telemetry';
import { inBatchTrace } from '../batch-trace';
import { openInput, type BatchInput } from '../intake/batch-input';
import { tableFormat } from '../output/publish-table';
import { CrashRecord } from '../intake/crash-record';
import type { RunnerContext } from '../runner-context';
import { RowForms } from './blocks/row-forms';
import type { RowShare } from './in-flight-budget';
import type { DoneChunk } from './chunk-report';
import { AnswerSize, ChunkPutBack, type ChunkProcessor, type StopReason } from './chunk-processor';

/** Of a row of which nothing is known. */
const ROW_SECONDS_UNKNOWN = 0.001;

/** A job for a chunk that its batch does not want: the batch is over, stopped, or has no such chunk. */
export class ChunkNotWanted extends Error {
  override readonly name = 'ChunkNotWanted';
}

/** A chunk that this node cannot do, and another one perhaps can. */
export class ChunkForAnother extends Error {
  override readonly name = 'ChunkForAnother';
}

/**
 * One batch as this node works on it, whether it owns the batch or not: its input, the chunks that run here, and what is known
 * of crashes meanwhile. Once it is stopped it begins no chunk.
 */
export class BatchWork {
  readonly crashRecord: CrashRecord;
  /** It stays while this node owns the batch. */
  isOwned = false;
  /** Why the last chunk that was tried here is not done; null: it is. */
  trouble: string | null = null;
  private opened: Promise<BatchInput | null> | null = null;
  private readonly running = new Map<number, AbortController>();
  /** What counts the rows of the chunks that run. */
  private readonly written = new Map<number, { readonly rowCount: number }>();
  private readonly size = new AnswerSize();
  private forms: RowForms | null = null;
  private stopReason: StopReason | null = null;
  private usedMs = performance.now();
  private weight = 1;
  private currentShare: RowShare | null = null;

  constructor(
    private readonly context: RunnerContext,
    private readonly processor: ChunkProcessor,
    private current: Manifest,
  ) {
    this.crashRecord = new CrashRecord(context.crashMarks, this.id, context.crashes);
  }

  /** As it was when the work was opened or renewed; its status may have changed since. */
  get manifest(): Manifest {
    return this.current;
  }

  get id(): string {
    return this.manifest.batch.id;
  }

  /** What its rows count beside those of other batches. */
  get share(): RowShare {
    this.currentShare ??= this.newShare();
    return this.currentShare;
  }

  /** From now on, also for what runs. */
  setWeight(weight: number): void {
    this.weight = weight;
    this.currentShare = null;
  }

  get runningChunks(): number {
    return this.running.size;
  }

  /** Rows of a chunk that runs here which have a line already; 0: none, or it does not run here. */
  rowsOf(chunkIndex: number): number {
    return this.written.get(chunkIndex)?.rowCount ?? 0;
  }

  /** How long nothing has run here. */
  get idleMs(): number {
    return this.running.size > 0 ? 0 : performance.now() - this.usedMs;
  }

  get isExpired(): boolean {
    const { expires_at: expiresAt } = this.manifest.batch;
    return expiresAt !== null && expiresAt * 1000 <= Date.now();
  }

  /** Null: the file is gone. */
  async input(): Promise<BatchInput | null> {
    this.opened ??= openInput(this.context, this.manifest);
    try {
      return await this.opened;
    } catch (error) {
      this.opened = null;
      throw error;
    }
  }

  /**
   * The batch has begun since, or this node owns it now. `manifest` as it is in the store; a copy, because its owner changes it before it
   * knows whether it may: another owner may have begun the batch with other files.
   */
  renew(manifest: Manifest): void {
    this.current = { ...manifest, batch: { ...manifest.batch } };
    this.reopenInput();
  }

  /** Looks anew whether the file is there, and which chunks it has. */
  reopenInput(): void {
    this.opened = null;
  }

  /** Does a chunk. Null: it is being done here already. Rejects with `ChunkNotWanted`, or for a chunk that is to be done again. */
  async process({ chunkIndex, weight }: ChunkPayload): Promise<DoneChunk | null> {
    this.setWeight(weight ?? this.weight);
    if (this.stopReason !== null || this.manifest.batch.status === 'validating')
      throw new ChunkNotWanted(`batch ${this.id} does not want its chunks now`);
    if (this.running.has(chunkIndex)) return null;
    const stop = new AbortController();
    this.running.set(chunkIndex, stop);
    try {
      const result = await this.traced(chunkIndex, () => this.run(chunkIndex, stop));
      this.trouble = null;
      return result;
    } catch (error) {
      if (!(error instanceof ChunkNotWanted)) this.trouble = (error as Error).message;
      throw error;
    } finally {
      this.running.delete(chunkIndex);
      this.written.delete(chunkIndex);
      this.usedMs = performance.now();
    }
  }

  /** Ends what runs here, for the first reason that is given; the end of the process comes before all. */
  stop(reason: StopReason): void {
    if (reason === 'put_back' || this.stopReason === null) this.stopReason = reason;
    for (const stop of this.running.values()) stop.abort(this.stopReason);
  }

  /** The work for a chunk as a span of the trace that the batch was submitted in. */
  private traced(chunkIndex: number, work: () => Promise<DoneChunk>): Promise<DoneChunk> {
    const withCounts = async (span: Span | null): Promise<DoneChunk> => {
      const result = await work();
      span?.setAttributes({ 'interleave.rows.completed': result.completed, 'interleave.rows.failed': result.failed });
      return result;
    };
    const attributes = { 'interleave.chunk': chunkIndex, 'interleave.node': this.context.nodeId };
    return inBatchTrace(this.context.tracing, this.manifest, 'batch chunk', withCounts, attributes);
  }

  private async run(chunkIndex: number, stop: AbortController): Promise<DoneChunk> {
    const input = await this.input();
    if (input === null || chunkIndex >= input.table.chunkCount)
      throw new ChunkNotWanted(`batch ${this.id}: expected a chunk of its input but received ${chunkIndex}`);
    const results = this.context.batches.results(this.id);
    const beganAtMs = Date.now();
    const done = await results.find(chunkIndex);
    if (done !== null) return done;
    const refusal = await this.context.store.refusal(0);
    if (refusal !== null) throw new ChunkPutBack(refusal);
    await this.refuseWithoutModel(input);
    await this.refuseIfHopeless();
    await this.crashRecord.beginWork();
    this.forms ??= new RowForms(input.endpoint, input.url, this.context.rowLimits);
    const { result, isFirst } = await this.processor.process(
      {
        chunk: input.table.chunk(chunkIndex),
        contentKey: input.contentKey,
        results,
        endpoint: input.endpoint,
        url: input.url,
        runAlone: this.manifest.batch.deterministic === true,
        pin: this.manifest.pin ?? null,
        packsVectors: tableFormat(this.manifest) !== null,
        share: () => this.share,
        lines: input.lines,
        forms: this.forms,
        size: this.size,
        onRefused: (reason) => (this.trouble = reason),
        part: (name, part) => inBatchTrace(this.context.tracing, this.manifest, name, part),
        onBegun: (written) => void this.written.set(chunkIndex, written),
      },
      stop,
    );
    this.context.onCommitted(result, isFirst);
    await this.crashRecord.gotFurther();
    return isFirst ? { ...result, doer: { node: this.context.nodeId, beganAtMs, endedAtMs: Date.now() } } : result;
  }

  private newShare(): RowShare {
    const { tenant, tenantWeight = 1, batch } = this.manifest;
    // As measured: a prediction from before costs were measured would give the batch a share of its own for as long as it runs.
    const rowSeconds = this.context.engine.secondsPerRow(batch.model ?? null) || ROW_SECONDS_UNKNOWN;
    return { tenant, tenantWeight, batchId: this.id, weight: this.weight, rowSeconds };
  }

  /** Its rows would fail here, and perhaps not on another node. */
  private async refuseWithoutModel({ endpoint, models }: BatchInput): Promise<void> {
    const { pin } = this.manifest;
    if (pin !== undefined) {
      const problem = await this.context.engine.pinProblem(pin);
      if (problem !== null) throw new ChunkForAnother(`node ${this.context.nodeId}: ${problem}`);
      return;
    }
    const model = this.manifest.batch.model ?? endpoint.model;
    const problem = model === null ? null : this.context.engine.modelProblem(model, endpoint.version, models);
    if (problem?.code === 'model_not_found') throw new ChunkForAnother(`node ${this.context.nodeId}: ${problem.message}`);
  }

  /** The owner fails the batch when it sees the mark. */
  private async refuseIfHopeless(): Promise<void> {
    if (!this.crashRecord.isHopeless) return;
    await this.context.batches.markCrashed(this.id);
    throw new ChunkNotWanted(`runners of ${this.context.nodeId} crash of batch ${this.id}`);
  }
}

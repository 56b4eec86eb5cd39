import { InterleaveError, type BatchStatus, type BatchValidationError } from '@app/contracts';
import { setTimeout as sleep } from 'node:timers/promises';
import {
  isTerminal,
  recoverResults,
  validationErrors,
  type BatchOutcome,
  type ChunkResult,
  type FileRecord,
  type Manifest,
  type ChunkTable,
} from '@app/batches';
import { parseEndpoint, type Endpoint } from '@app/protocols';
import { ChunkBacklog } from './chunks/chunk-backlog';
import { AnswerSize, type ChunkProcessor, type ChunkTask, type StopReason } from './chunks/chunk-processor';
import { CrashRecord, RUNNER_DEATHS_MAX } from './intake/crash-record';
import { finishBatch } from './output/finish-batch';
import type { RunnerContext } from './runner-context';
import { RowLines } from './output/row-lines';
import { validateInput } from './intake/validate-input';

const RETRY_MS_MIN = 500;
const RETRY_MS_MAX = 30_000;
const TURN_POLL_MS = 200;
const CRASHED = {
  code: 'runner_crashed',
  message: `The batch runner crashed ${RUNNER_DEATHS_MAX} times while it worked on this batch and got no further. Look for very large or deeply nested rows, and send the rest without them.`,
  param: 'input_file_id',
  line: null,
};

/** The input of a batch, once it has been found. */
interface Input {
  record: FileRecord;
  table: ChunkTable;
  endpoint: Endpoint;
  lines: RowLines;
}

/**
 * One batch that is not over, in the runner: the only writer of its manifest. `run` takes it through the states of
 * `Manifest`; chunks come in by `processChunk` while it is `in_progress`.
 */
export class ActiveBatch {
  private input: Input | null = null;
  private results = new Map<number, ChunkResult>();
  private readonly running = new Map<number, AbortController>();
  private readonly size = new AnswerSize();
  private readonly validation = new AbortController();
  private backlog = new ChunkBacklog(0);
  /** Why the last chunk that was tried is not done; null: it is. */
  private trouble: string | null = null;
  private isFeedable = false;
  private countsAreStale = false;
  /** The API took the batch back before it answered its creation. */
  private isGone = false;
  private readonly crashRecord: CrashRecord;
  private settle: () => void = () => undefined;
  private saving: Promise<boolean> = Promise.resolve(true);

  constructor(
    private readonly context: RunnerContext,
    private readonly processor: ChunkProcessor,
    private readonly manifest: Manifest,
  ) {
    this.crashRecord = new CrashRecord(context.batches, this.id, context.crashes);
  }

  get id(): string {
    return this.manifest.batch.id;
  }

  get status(): BatchStatus {
    return this.manifest.batch.status;
  }

  get counts(): { total: number; completed: number; failed: number } {
    return this.manifest.batch.request_counts;
  }

  get paused(): string | null {
    return this.manifest.paused;
  }

  private get isDeterministic(): boolean {
    return this.manifest.batch.deterministic === true;
  }

  get runningChunks(): number {
    return this.running.size;
  }

  /** It may be what runners crash of, so it works while no other batch does. */
  get wantsTurn(): boolean {
    return this.crashRecord.isSuspect && this.manifest.outcome === null && (this.status === 'validating' || this.status === 'in_progress');
  }

  /** Before `run`. */
  async load(): Promise<void> {
    await this.crashRecord.load();
  }

  /** Resolves when the batch is over or the process ends. Never rejects. */
  async run(): Promise<void> {
    while (!this.isOver() && !this.context.mayWork(this.id)) await sleep(TURN_POLL_MS);
    for (let failures = 0; !this.isOver();) {
      try {
        await this.step();
        failures = 0;
      } catch (error) {
        if (this.isOver()) break;
        await this.explainTrouble(error as Error);
        await sleep(Math.min(RETRY_MS_MIN * 2 ** failures++, RETRY_MS_MAX));
      }
    }
    await this.saving;
  }

  /** Looks for a cancel marker and the end of the completion window, and publishes progress and pauses. */
  async tick(pauseReason: string | null): Promise<void> {
    if (isTerminal(this.status) || this.manifest.outcome !== null) return;
    const cancelRequestedAt = await this.context.batches.cancelRequestedAt(this.id);
    if (cancelRequestedAt !== null) return this.end('cancelled', cancelRequestedAt);
    const { expires_at: expiresAt } = this.manifest.batch;
    if (this.isFeedable && expiresAt !== null && expiresAt <= nowSeconds()) return this.end('expired', null);
    const paused = pauseReason ?? this.trouble;
    if (this.isFeedable && paused !== this.manifest.paused) {
      this.manifest.paused = paused;
      this.countsAreStale = true;
    }
    if (!this.countsAreStale) return;
    this.countsAreStale = false;
    await this.save({ syncParent: false });
  }

  isRunning(chunkIndex: number): boolean {
    return this.running.has(chunkIndex);
  }

  /** The next chunk to queue; `attempt` counts from 0. Null: none now. */
  takeChunk(): { chunkIndex: number; attempt: number } | null {
    if (!this.isFeedable) return null;
    const chunkIndex = this.backlog.take((index) => this.results.has(index));
    return chunkIndex === null ? null : { chunkIndex, attempt: this.backlog.timesTaken(chunkIndex) - 1 };
  }

  /** Undoes `takeChunk` for a chunk that Redis lost. */
  giveBack(chunkIndex: number): void {
    if (!this.results.has(chunkIndex) && !this.running.has(chunkIndex)) this.backlog.giveBack(chunkIndex, false);
  }

  /**
   * Does a chunk, unless it is done, being done or not wanted any more: then a job is there twice, and that is harmless.
   * Rejects for a chunk that will be done again.
   */
  async processChunk(chunkIndex: number): Promise<'committed' | 'skipped'> {
    const isWanted = this.isFeedable && this.input !== null && chunkIndex < this.input.table.chunkCount;
    if (!isWanted || this.input === null || this.results.has(chunkIndex) || this.running.has(chunkIndex)) return 'skipped';
    const stop = new AbortController();
    this.running.set(chunkIndex, stop);
    try {
      await this.context.disk.check(0);
      await this.crashRecord.beginWork();
      this.commit(await this.processor.process(this.task(this.input, chunkIndex), stop));
      await this.crashRecord.gotFurther();
      return 'committed';
    } catch (error) {
      this.trouble = (error as Error).message;
      this.backlog.giveBack(chunkIndex, true);
      throw error;
    } finally {
      this.running.delete(chunkIndex);
      this.settleWhenDone();
    }
  }

  /** Stops what runs; used with `put_back` when the process ends. */
  abort(reason: StopReason): void {
    for (const stop of this.running.values()) stop.abort(reason);
    if (reason === 'put_back') this.validation.abort();
  }

  private isOver(): boolean {
    return isTerminal(this.status) || this.isGone || this.context.isStopping();
  }

  private step(): Promise<void> {
    if (this.status === 'validating') return this.validate();
    if (this.status === 'in_progress') return this.work();
    return this.finish();
  }

  private async validate(): Promise<void> {
    if (this.crashRecord.isHopeless) return this.fail([CRASHED]);
    await this.crashRecord.beginWork();
    const input = await this.openInput();
    if (input === null)
      return this.fail([{ code: 'file_not_found', message: 'The input file is gone.', param: 'input_file_id', line: null }]);
    const problem = input.endpoint.model === null ? null : this.modelProblem(input.endpoint.model, input.endpoint.version);
    if (problem !== null) return this.fail([problem]);
    const { errors, model } = await validateInput(
      {
        contentPath: this.context.files.contentPath(input.record.id),
        table: input.table,
        url: this.manifest.batch.endpoint,
        modelInBody: input.endpoint.model === null,
        rowLimits: this.context.rowLimits,
      },
      this.validation.signal,
    );
    await this.crashRecord.gotFurther();
    if (this.manifest.outcome !== null) return;
    const problems = errors.length > 0 || model === null ? errors : [this.modelProblem(model, null)].filter((error) => error !== null);
    if (problems.length > 0) return this.fail(problems);
    const name = input.endpoint.model ?? model;
    await this.advance('in_progress', {
      in_progress_at: nowSeconds(),
      request_counts: { total: input.table.rowCount, completed: 0, failed: 0 },
      ...(name === null ? {} : { model: name }),
    });
  }

  private modelProblem(model: string, version: string | null): BatchValidationError | null {
    const problem = this.context.engine.modelProblem(model, version);
    return problem === null ? null : { ...problem, param: 'model', line: null };
  }

  /** Lets chunks be taken until all are committed, or the batch is ended early and nothing runs any more. */
  private async work(): Promise<void> {
    await this.recover();
    if (this.crashRecord.isHopeless && this.manifest.outcome === null) {
      this.manifest.batch.errors = validationErrors([CRASHED]);
      this.manifest.outcome = 'failed';
    }
    const settled = new Promise<void>((resolve) => (this.settle = resolve));
    this.isFeedable = this.manifest.outcome === null;
    this.settleWhenDone();
    this.context.onFeedable();
    await settled;
    this.isFeedable = false;
    if (this.status === 'in_progress') {
      const outcome = this.manifest.outcome ?? 'completed';
      this.manifest.outcome = outcome;
      await this.advance('finalizing', { finalizing_at: nowSeconds() });
    }
  }

  private async finish(): Promise<void> {
    await this.recover();
    const input = this.requireInput();
    const outcome = this.manifest.outcome ?? 'completed';
    const ending = await finishBatch(this.context, {
      manifest: this.manifest,
      outcome,
      table: input.table,
      lines: input.lines,
      results: this.results,
    });
    await this.advance(outcome, { ...ending, [`${outcome}_at`]: nowSeconds() });
    await this.context.batches.removeChunks(this.id);
  }

  /** Reads what the batch is made of and what is done of it, after a restart or validation. */
  private async recover(): Promise<void> {
    this.input ??= await this.openInput();
    if (this.running.size > 0) return;
    this.results = await recoverResults(this.context.batches.chunksDirectory(this.id));
    this.backlog = new ChunkBacklog(this.input?.table.chunkCount ?? 0);
    this.recount();
  }

  private async openInput(): Promise<Input | null> {
    const record = await this.context.files.find(this.manifest.batch.input_file_id);
    if (record === null) return null;
    const endpoint = parseEndpoint(this.manifest.batch.endpoint);
    if (endpoint === null) throw new Error(`batch ${this.id} was accepted for ${this.manifest.batch.endpoint}, which is not an endpoint`);
    this.input = {
      record,
      table: await this.context.files.readChunkTable(record),
      endpoint,
      lines: new RowLines(this.id, endpoint, this.isDeterministic),
    };
    return this.input;
  }

  private requireInput(): Input {
    if (this.input === null) throw new Error(`input file ${this.manifest.batch.input_file_id} is gone`);
    return this.input;
  }

  private task(input: Input, chunkIndex: number): ChunkTask {
    return {
      chunk: input.table.chunk(chunkIndex),
      contentPath: this.context.files.contentPath(input.record.id),
      chunksDirectory: this.context.batches.chunksDirectory(this.id),
      endpoint: input.endpoint,
      url: this.manifest.batch.endpoint,
      runAlone: this.isDeterministic,
      lines: input.lines,
      size: this.size,
      onRefused: (reason) => (this.trouble = reason),
    };
  }

  private commit(result: ChunkResult): void {
    this.results.set(result.index, result);
    this.backlog.forget(result.index);
    this.trouble = null;
    this.counts.completed += result.completed;
    this.counts.failed += result.failed;
    this.countsAreStale = true;
    this.context.onCommitted(result);
  }

  private recount(): void {
    const { counts } = this;
    counts.completed = 0;
    counts.failed = 0;
    for (const result of this.results.values()) {
      counts.completed += result.completed;
      counts.failed += result.failed;
    }
  }

  private settleWhenDone(): void {
    const isComplete = this.results.size === (this.input?.table.chunkCount ?? Number.POSITIVE_INFINITY);
    if (this.running.size === 0 && (isComplete || this.manifest.outcome !== null)) this.settle();
  }

  private async end(outcome: Exclude<BatchOutcome, 'completed'>, requestedAt: number | null): Promise<void> {
    this.manifest.outcome = outcome;
    this.manifest.paused = null;
    this.isFeedable = false;
    this.validation.abort();
    if (outcome === 'cancelled') {
      // A batch that was not validated has no rows to speak of.
      const next = this.status === 'validating' ? 'cancelled' : 'cancelling';
      const at = requestedAt ?? nowSeconds();
      await this.advance(next, { cancelling_at: at, ...(next === 'cancelled' ? { cancelled_at: nowSeconds() } : {}) });
    }
    this.abort(outcome === 'cancelled' ? 'batch_cancelled' : 'batch_expired');
    this.settleWhenDone();
  }

  private fail(errors: BatchValidationError[]): Promise<void> {
    return this.advance('failed', { failed_at: nowSeconds(), errors: validationErrors(errors) });
  }

  /** The one way to change the status: logged, written, durable. Insists while the disk is full. */
  private async advance(status: BatchStatus, changes: Partial<Manifest['batch']>): Promise<void> {
    Object.assign(this.manifest.batch, changes, { status });
    this.manifest.paused = null;
    this.context.log.info({ batch: this.id, status, counts: this.counts }, 'batch');
    while (!(await this.save({ syncParent: true })) && !this.context.isStopping()) await sleep(RETRY_MS_MIN);
  }

  /** False when the manifest could not be written; the next save brings what this one did not. */
  private save(options: { syncParent: boolean }): Promise<boolean> {
    const saved = this.saving.then(() => this.write(options));
    this.saving = saved;
    return saved;
  }

  private async write(options: { syncParent: boolean }): Promise<boolean> {
    try {
      await this.context.batches.write(this.manifest, options);
      return true;
    } catch (error) {
      this.isGone = (error as NodeJS.ErrnoException).code === 'ENOENT';
      if (!this.isGone) this.context.log.warn({ batch: this.id, err: error }, 'manifest could not be written');
      return this.isGone;
    }
  }

  private async explainTrouble(error: Error): Promise<void> {
    const reason = error instanceof InterleaveError ? error.message : `${error.name}: ${error.message}`;
    this.context.log.warn({ batch: this.id, err: error }, 'batch waits to try again');
    this.manifest.paused = reason;
    await this.save({ syncParent: false });
  }
}

const nowSeconds = (): number => Math.floor(Date.now() / 1000);

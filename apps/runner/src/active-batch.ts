import { InterleaveError, type BatchStatus, type BatchValidationError } from '@app/contracts';
import { setTimeout as sleep } from 'node:timers/promises';
import { isTerminal, recoverResults, validationErrors, type BatchOutcome, type ChunkResult, type Manifest } from '@app/batches';
import { ChunkLedger, ChunkNotWanted } from './chunks/chunk-ledger';
import { AnswerSize, type ChunkProcessor, type ChunkTask, type StopReason } from './chunks/chunk-processor';
import { openInput, judgeInput, type BatchInput } from './intake/batch-input';
import { CRASHED, CrashRecord } from './intake/crash-record';
import { ManifestFile } from './manifest-file';
import { finishBatch } from './output/finish-batch';
import type { RunnerContext } from './runner-context';

const RETRY_MS_MIN = 500;
const RETRY_MS_MAX = 30_000;
const TURN_POLL_MS = 200;

/**
 * One batch that is not over, in the runner. `run` takes it through the states of `Manifest`; its chunks are in the ledger,
 * which is open while the batch wants them.
 *
 * | status      | ledger | left by                                                                                   |
 * |-------------|--------|-------------------------------------------------------------------------------------------|
 * | validating  | none   | a good file → in_progress; a bad one → failed; cancel → cancelled                         |
 * | in_progress | open   | all chunks committed → finalizing; expiry, too many crashes: closed, and once nothing     |
 * |             |        | runs → finalizing; cancel: closed → cancelling                                            |
 * | cancelling  | closed | nothing runs and the files are written → cancelled                                        |
 * | finalizing  | closed | the files are written → completed, expired or failed                                      |
 *
 * `tick` sees a cancel and the expiry.
 */
export class ActiveBatch {
  private input: BatchInput | null = null;
  private chunks: ChunkLedger | null = null;
  private readonly file: ManifestFile;
  private readonly size = new AnswerSize();
  private readonly validation = new AbortController();
  /** Why the last chunk that was tried is not done; null: it is. */
  private trouble: string | null = null;
  private readonly crashRecord: CrashRecord;
  private onAllDone: () => void = () => undefined;

  constructor(
    private readonly context: RunnerContext,
    private readonly processor: ChunkProcessor,
    private readonly manifest: Manifest,
  ) {
    this.file = new ManifestFile(manifest, context.batches, context.log);
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

  /** Predicted time of one executor for its rows without a committed line, in seconds. */
  get backlogSeconds(): number {
    const { total, completed, failed } = this.counts;
    return (total - completed - failed) * this.context.engine.secondsPerRow(this.manifest.batch.model ?? null);
  }

  get paused(): string | null {
    return this.manifest.paused;
  }

  /** Null until the batch is in progress. */
  get ledger(): ChunkLedger | null {
    return this.chunks;
  }

  get runningChunks(): number {
    return this.chunks?.count('running') ?? 0;
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
    await this.file.idle();
  }

  /** Looks for a cancel marker and the end of the completion window, and publishes progress and pauses. */
  async tick(pauseReason: string | null): Promise<void> {
    if (this.isDecided()) return;
    const cancelRequestedAt = await this.context.batches.cancelRequestedAt(this.id);
    if (this.isDecided()) return; // by another tick, or by the batch itself, in the meantime
    if (cancelRequestedAt !== null) return this.end('cancelled', cancelRequestedAt);
    if (this.chunks?.isOpen === true) {
      const { expires_at: expiresAt } = this.manifest.batch;
      if (expiresAt !== null && expiresAt <= nowSeconds()) return this.end('expired', null);
      this.setPaused(pauseReason ?? this.trouble);
    }
    await this.file.saveIfStale();
  }

  /** Does a chunk, unless it is done or being done. Rejects with `ChunkNotWanted`, or for a chunk that will be done again. */
  async processChunk(chunkIndex: number, jobId: string): Promise<'committed' | 'skipped'> {
    const { input, chunks } = this;
    if (input === null || chunks === null) throw new ChunkNotWanted(`batch ${this.id} is not in progress`);
    const stop = chunks.start(chunkIndex, jobId);
    if (stop === null) return 'skipped';
    try {
      await this.context.disk.check(0);
      await this.crashRecord.beginWork();
      const result = await this.processor.process(this.task(input, chunkIndex), stop);
      chunks.commit(result);
      this.countCommit(result);
      await this.crashRecord.gotFurther();
      return 'committed';
    } catch (error) {
      if (chunks.stateOf(chunkIndex) === 'running') chunks.putBack(chunkIndex);
      this.trouble = (error as Error).message;
      throw error;
    } finally {
      this.settleWhenDone();
    }
  }

  /** Stops what runs; used with `put_back` when the process ends. */
  abort(reason: StopReason): void {
    this.chunks?.abort(reason);
    if (reason === 'put_back') this.validation.abort();
  }

  /** How the batch ends is known, if not yet done. */
  private isDecided(): boolean {
    return isTerminal(this.status) || this.manifest.outcome !== null;
  }

  private isOver(): boolean {
    return isTerminal(this.status) || this.file.state === 'gone' || this.context.isStopping();
  }

  private step(): Promise<void> {
    if (this.status === 'validating') return this.validate();
    if (this.status === 'in_progress') return this.work();
    return this.finish();
  }

  private async validate(): Promise<void> {
    if (this.crashRecord.isHopeless) return this.fail([CRASHED]);
    await this.crashRecord.beginWork();
    this.input ??= await openInput(this.context, this.manifest);
    const { input } = this;
    if (this.isDecided()) return;
    if (input === null)
      return this.fail([{ code: 'file_not_found', message: 'The input file is gone.', param: 'input_file_id', line: null }]);
    const { problems, model } = await judgeInput(this.context, input, this.validation.signal);
    await this.crashRecord.gotFurther();
    if (this.isDecided()) return;
    if (problems.length > 0) return this.fail(problems);
    await this.advance('in_progress', {
      in_progress_at: nowSeconds(),
      request_counts: { total: input.table.rowCount, completed: 0, failed: 0 },
      ...(model === null ? {} : { model }),
    });
  }

  /** Lets chunks be taken until all are committed, or the batch is ended early and nothing runs any more. */
  private async work(): Promise<void> {
    const { chunks } = await this.recover();
    if (this.crashRecord.isHopeless && this.manifest.outcome === null) {
      this.manifest.batch.errors = validationErrors([CRASHED]);
      this.manifest.outcome = 'failed';
    }
    const settled = new Promise<void>((resolve) => (this.onAllDone = resolve));
    if (this.manifest.outcome === null) chunks.open();
    this.settleWhenDone();
    this.context.onFeedable();
    await settled;
    chunks.close();
    if (this.status === 'in_progress') {
      this.manifest.outcome ??= 'completed';
      await this.advance('finalizing', { finalizing_at: nowSeconds() });
    }
  }

  private async finish(): Promise<void> {
    const { input, chunks } = await this.recover();
    const outcome = this.manifest.outcome ?? 'completed';
    const ending = await finishBatch(this.context, { manifest: this.manifest, outcome, table: input.table, lines: input.lines, chunks });
    await this.advance(outcome, { ...ending, [`${outcome}_at`]: nowSeconds() });
    await this.context.batches.removeChunks(this.id);
  }

  /** Reads what the batch is made of and what is done of it, after a restart or validation. */
  private async recover(): Promise<{ input: BatchInput; chunks: ChunkLedger }> {
    this.input ??= await openInput(this.context, this.manifest);
    const { input } = this;
    if (input === null) throw new Error(`input file ${this.manifest.batch.input_file_id} is gone`);
    const chunks = this.chunks ?? new ChunkLedger(this.id, input.table.chunkCount);
    if (chunks.count('running') === 0) {
      chunks.recover(await recoverResults(this.context.batches.chunksDirectory(this.id)));
      Object.assign(this.counts, chunks.rows());
    }
    this.chunks = chunks;
    return { input, chunks };
  }

  private task(input: BatchInput, chunkIndex: number): ChunkTask {
    return {
      chunk: input.table.chunk(chunkIndex),
      contentPath: input.contentPath,
      chunksDirectory: this.context.batches.chunksDirectory(this.id),
      endpoint: input.endpoint,
      url: input.url,
      runAlone: this.manifest.batch.deterministic === true,
      lines: input.lines,
      size: this.size,
      onRefused: (reason) => (this.trouble = reason),
    };
  }

  private countCommit(result: ChunkResult): void {
    this.trouble = null;
    this.counts.completed += result.completed;
    this.counts.failed += result.failed;
    this.file.touch();
    this.context.onCommitted(result);
  }

  private setPaused(reason: string | null): void {
    if (reason === this.manifest.paused) return;
    this.manifest.paused = reason;
    this.file.touch();
  }

  private settleWhenDone(): void {
    const isEnded = this.chunks?.isComplete === true || this.manifest.outcome !== null;
    if (isEnded && this.runningChunks === 0) this.onAllDone();
  }

  private async end(outcome: Exclude<BatchOutcome, 'completed'>, requestedAt: number | null): Promise<void> {
    this.manifest.outcome = outcome;
    this.manifest.paused = null;
    this.chunks?.close();
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
    while (!(await this.file.save({ syncParent: true })) && !this.context.isStopping()) await sleep(RETRY_MS_MIN);
  }

  private async explainTrouble(error: Error): Promise<void> {
    const reason = error instanceof InterleaveError ? error.message : `${error.name}: ${error.message}`;
    this.context.log.warn({ batch: this.id, err: error }, 'batch waits to try again');
    this.manifest.paused = reason;
    await this.file.save({ syncParent: false });
  }
}

const nowSeconds = (): number => Math.floor(Date.now() / 1000);

import {
  BATCH_PRIORITY_DEFAULT,
  InterleaveError,
  type BatchLogEvent,
  type BatchProgress,
  type BatchStatus,
  type BatchValidationError,
} from '@app/contracts';
import { setTimeout as sleep } from 'node:timers/promises';
import { parseChunkJobId } from '@app/queues';
import {
  isTerminal,
  notRunRowsOf,
  PAUSED_BY_REQUEST,
  validationErrors,
  type BatchControl,
  type BatchOutcome,
  type ChunkTable,
  type Manifest,
  type ModelPin,
} from '@app/batches';
import type { BatchWork } from './chunks/batch-work';
import type { ChunkDesk } from './chunks/chunk-desk';
import { ChunkLedger } from './chunks/chunk-ledger';
import { inBatchTrace, traceWholeBatch } from './batch-trace';
import type { FedBatch } from './chunks/chunk-pump';
import { doerOf, type ChunkProgress, type DoneChunk } from './chunks/chunk-report';
import { OwnShare } from './chunks/own-share';
import { judgeInput, type BatchInput } from './intake/batch-input';
import { beginBatch } from './intake/begin-batch';
import { CRASHED } from './intake/crash-record';
import { prepareRows } from './intake/prepare/prepare-rows';
import { ManifestFile } from './manifest-file';
import type { OwnerQueue } from './owner-queue';
import { finishBatch } from './output/finish-batch';
import { removeLines } from './output/remove-lines';
import { LastingTrouble } from './tables/lasting-trouble';
import type { TableTrouble } from './tables/table-process';
import { BatchReport } from './progress/batch-report';
import { TimelineFile } from './progress/timeline-file';
import type { RunnerContext } from './runner-context';

const RETRY_MS_MIN = 500;
const RETRY_MS_MAX = 30_000;
const TURN_POLL_MS = 200;
/**
 * Other nodes stop their chunks of a batch that ends within a second or two; one that does not by then was lost. Who cancels does not
 * wait for a second or two: what is not there by then is not kept.
 */
const SETTLE_MS = { expired: 5_000, failed: 5_000, completed: 5_000, cancelled: 1_200 };

/**
 * One batch that is not over, on the node that owns it. `run` takes it through the states of `Manifest`; what became of its
 * chunks, on any node, is in the ledger, which is open while the batch wants them done.
 *
 * | status      | ledger | left by                                                                                   |
 * |-------------|--------|-------------------------------------------------------------------------------------------|
 * | validating  | none   | a good file → in_progress; a bad one → failed; cancel → cancelled                         |
 * | in_progress | open   | all chunks committed → finalizing; expiry, too many crashes: closed, and once nothing     |
 * |             |        | runs → finalizing; cancel: closed → cancelling                                            |
 * | cancelling  | closed | nothing runs and the files are written → cancelled                                        |
 * | finalizing  | closed | the files are written → completed, expired or failed                                      |
 *
 * A batch in progress that somebody paused has its ledger closed until it is to go on; what runs is finished. `tick` sees that, a cancel
 * and the expiry. Whatever the status, the batch is left when another node turns out to own it.
 */
export class OwnedBatch {
  private chunks: ChunkLedger | null = null;
  private table: ChunkTable | null = null;
  private timeline: TimelineFile | null = null;
  /** From the recovery of its chunks until they are settled. */
  private isInWork = false;
  /** For Redis, or room on the disk. */
  private isLanePaused = false;
  private control: BatchControl;
  private readonly ownShare: OwnShare;
  private readonly file: ManifestFile;
  private readonly validation = new AbortController();
  /** Why the last chunk that was tried is not done; null: it is. */
  private trouble: string | null = null;
  private decidedMs: number | null = null;
  private readonly lastingTrouble = new LastingTrouble();
  /** Its output cannot be written as a table. */
  private hasNoTable = false;
  private readonly report: BatchReport;
  private onSettled: () => void = () => undefined;

  constructor(
    private readonly context: RunnerContext,
    private readonly desk: ChunkDesk,
    private readonly queue: OwnerQueue,
    private readonly work: BatchWork,
    private readonly manifest: Manifest,
    version: string,
  ) {
    this.file = new ManifestFile(manifest, version, context.batches, context.nodeId, context.log);
    this.report = new BatchReport(manifest, () => this.file.touch());
    this.control = { isPaused: false, priority: manifest.priority ?? BATCH_PRIORITY_DEFAULT };
    this.ownShare = new OwnShare(manifest);
  }

  get id(): string {
    return this.manifest.batch.id;
  }

  get status(): BatchStatus {
    return this.manifest.batch.status;
  }

  /** Its rows, and what became of them. */
  get rows(): { total: number; completed: number; failed: number } {
    return { ...this.counts, failed: this.counts.failed - notRunRowsOf(this.manifest) };
  }

  /** Null: its rows name it. */
  get model(): string | null {
    return this.manifest.batch.model ?? null;
  }

  get endpoint(): string {
    return this.manifest.batch.endpoint;
  }

  /** Null: nothing is known yet. */
  get progress(): BatchProgress | null {
    return this.manifest.progress ?? null;
  }

  /** Predicted time of one executor for its rows without a committed line, in seconds. */
  get backlogSeconds(): number {
    const { total, completed, failed } = this.counts;
    return (total - completed - failed) * this.context.engine.secondsPerRow(this.manifest.batch.model ?? null);
  }

  /** Executor seconds that its rows take in a second; 0: none is known. */
  get load(): number {
    return this.report.rowsPerSecond * this.context.engine.secondsPerRow(this.manifest.batch.model ?? null);
  }

  get secondsLeft(): number | null {
    return this.report.secondsLeft;
  }

  /** Null: it is not in progress, is paused by somebody, or waits for what the whole lane waits for. */
  get progressAgeSeconds(): number | null {
    return this.isInWork && !this.control.isPaused && !this.isLanePaused ? this.report.idleMs / 1000 : null;
  }

  /** Another node turned out to own it. */
  get isLost(): boolean {
    return this.file.state === 'lost';
  }

  /** The files that answer its rows; null: it has not begun, or is over. */
  get pin(): ModelPin | null {
    return isTerminal(this.status) ? null : (this.manifest.pin ?? null);
  }

  get paused(): string | null {
    return this.manifest.paused;
  }

  /** Null until the batch is in progress. */
  get ledger(): ChunkLedger | null {
    return this.chunks;
  }

  /** For the pump; null until the batch is in progress. */
  get fed(): FedBatch | null {
    const { chunks, table } = this;
    if (chunks === null || table === null) return null;
    const { rowSeconds } = this.work.share;
    return {
      ledger: chunks,
      share: this.ownShare.of(this.control.priority),
      secondsOf: (index) => table.chunk(index).rowCount * rowSeconds,
      ...(this.manifest.trace !== undefined && { trace: this.manifest.trace }),
    };
  }

  /** On all nodes. */
  get runningChunks(): number {
    return this.chunks?.count('running') ?? 0;
  }

  /** Resolves when the batch is over, another node's, or the process ends. Never rejects. */
  async run(): Promise<void> {
    this.report.ownedBy(this.context.nodeId);
    // An owner before this one cannot write the manifest from here on.
    await this.insist(() => this.file.save());
    while (!this.isOver() && !this.desk.mayWork(this.id)) await sleep(TURN_POLL_MS);
    for (let failures = 0; !this.isOver();) {
      try {
        await this.step();
        failures = 0;
      } catch (error) {
        if (this.isOver()) break;
        this.work.reopenInput();
        if (this.lastingTrouble.isIn(error)) {
          await this.goOnWithoutTable(error);
          continue;
        }
        await this.explainTrouble(error as Error);
        await sleep(Math.min(RETRY_MS_MIN * 2 ** failures++, RETRY_MS_MAX));
      }
    }
    await this.file.idle();
    if (this.chunks !== null && !this.isLost) await this.timeline?.save(this.chunks);
  }

  /** Looks for a cancel marker, crashes and the end of the completion window, and publishes progress and pauses. */
  async tick(pauseReason: string | null): Promise<void> {
    if (this.isDecided()) return this.settleIfDone();
    await this.lookForChange();
    if (!this.isInWork || this.isDecided()) return;
    if (this.work.isExpired) return this.end('expired', null);
    if (await this.context.batches.hasCrashed(this.id)) return this.giveUp();
    this.work.setWeight(this.ownShare.of(this.control.priority).weight);
    this.isLanePaused = pauseReason !== null;
    this.setPaused(this.control.isPaused ? PAUSED_BY_REQUEST : (pauseReason ?? this.work.trouble ?? this.trouble));
    if (this.chunks !== null) this.report.update(this.chunks, this.queue.shareOf(this));
    await this.file.saveIfStale();
    if (this.chunks !== null) await this.timeline?.saveIfDue(this.chunks);
    this.settleIfDone();
  }

  async lookForCancel(): Promise<void> {
    if (this.isDecided()) return;
    const cancelRequestedAt = await this.context.batches.cancelRequestedAt(this.id);
    if (this.isDecided()) return; // by another look, or by the batch itself, in the meantime
    if (cancelRequestedAt !== null) await this.end('cancelled', cancelRequestedAt);
  }

  /** Looks whether somebody cancelled, paused or resumed it, or changed its priority. */
  async lookForChange(): Promise<void> {
    await this.lookForCancel();
    if (this.isDecided() || this.isLost) return;
    const control = await this.context.batches.readControl(this.manifest);
    if (!this.isDecided()) await this.follow(control);
  }

  /** The store has this result. */
  commit(result: DoneChunk): void {
    if (this.chunks?.commit(result) !== true) return;
    this.timeline?.recorder.committed(result.index, doerOf(result));
    this.trouble = null;
    this.counts.completed += result.completed;
    this.counts.failed += result.failed;
    this.ownShare.done(result);
    this.file.touch();
    this.settleIfDone();
  }

  /** No node wanted the chunk of this job. While the batch does, `ChunkPump.verify` finds that out, in its own time. */
  refuse(jobId: string): void {
    if (!this.isDecided()) return;
    this.chunks?.lose({ index: parseChunkJobId(jobId)?.chunkIndex ?? -1, jobId });
    this.settleIfDone();
  }

  /** Why a chunk was put back, by whichever node. */
  explainPutBack(chunkIndex: number, reason: string): void {
    this.trouble = reason;
    this.timeline?.recorder.putBackBecause(chunkIndex, reason);
    this.note('retry', `chunk ${chunkIndex} is tried again: ${reason}`);
  }

  /** What has a line of a chunk that runs, on any node. */
  noteProgress(chunkIndex: number, { rows, node }: ChunkProgress): void {
    this.report.noteRows(chunkIndex, rows);
    if (node !== null) this.timeline?.recorder.workedOnBy(chunkIndex, node);
  }

  /** For whoever asks what happened to the batch. */
  note(event: BatchLogEvent, message: string): void {
    this.report.note(event, message);
  }

  /** Lets go of the batch, because the process ends. */
  leave(): void {
    this.validation.abort();
    this.settleIfDone();
  }

  /** How the batch ends is known, if not yet done. */
  private isDecided(): boolean {
    return isTerminal(this.status) || this.manifest.outcome !== null;
  }

  private isOver(): boolean {
    return isTerminal(this.status) || this.isLost || this.context.isStopping();
  }

  private async step(): Promise<void> {
    const { tracing } = this.context;
    if (this.status === 'validating') return inBatchTrace(tracing, this.manifest, 'batch validate', () => this.validate());
    if ((await this.work.input()) === null) return this.endWithoutInput();
    if (this.status === 'in_progress') return this.workOff();
    return inBatchTrace(tracing, this.manifest, 'batch publish', () => this.finish());
  }

  private async validate(): Promise<void> {
    const { crashRecord } = this.work;
    if (crashRecord.isHopeless) return this.fail([CRASHED]);
    await crashRecord.beginWork();
    const faults = await prepareRows(this.context, this.manifest, this.validation.signal);
    if (this.isDecided()) return;
    if (faults.length > 0) return this.fail(faults);
    const input = await this.work.input();
    if (this.isDecided()) return;
    if (input === null) return this.endWithoutInput();
    const { problems, model } = await judgeInput(this.context, input, this.validation.signal);
    await crashRecord.gotFurther();
    if (this.isDecided()) return;
    if (problems.length > 0) return this.fail(problems);
    const begun = await beginBatch(this.context, this.manifest, input, model);
    if (this.isDecided()) return;
    Object.assign(this.manifest, begun, { formatVersion: 2 });
    await this.advance('in_progress', {
      in_progress_at: nowSeconds(),
      request_counts: { total: begun.plan.rows, completed: 0, failed: 0 },
      ...(model === null ? {} : { model }),
    });
    if (!this.isLost) this.work.renew(this.manifest);
  }

  /** Lets chunks be taken until all are committed, or the batch is ended early and nothing runs any more. */
  private async workOff(): Promise<void> {
    const { chunks } = await this.recover();
    if (this.work.crashRecord.isHopeless && this.manifest.outcome === null) this.giveUp();
    const settled = new Promise<void>((resolve) => (this.onSettled = resolve));
    this.isInWork = true;
    this.control = await this.context.batches.readControl(this.manifest);
    if (this.manifest.outcome === null && !this.control.isPaused) chunks.open();
    this.settleIfDone();
    this.queue.onFeedable();
    await settled;
    this.isInWork = false;
    chunks.close();
    // A node that saw the marker first has answered rows with it.
    await this.lookForCancel();
    if (this.status !== 'in_progress' || this.isOver()) return;
    if (this.manifest.outcome === null) {
      // What Redis told is believed once the store says so too.
      await this.recover();
      if (!chunks.isComplete) return;
      this.manifest.outcome = 'completed';
    }
    await this.advance('finalizing', { finalizing_at: nowSeconds() });
  }

  private async finish(): Promise<void> {
    const { input, chunks } = await this.recover();
    const { hasNoTable } = this;
    const outcome = this.manifest.outcome ?? 'completed';
    const { changes, failures, notRunRows } = await finishBatch(this.context, {
      manifest: this.manifest,
      outcome,
      input,
      chunks,
      hasNoTable,
    });
    this.manifest.notRunRows = notRunRows;
    this.report.stand(failures);
    await this.timeline?.save(chunks);
    await this.advance(outcome, { ...changes, [`${outcome}_at`]: nowSeconds() });
    if (outcome !== 'failed' && !hasNoTable && !this.isLost) await removeLines(this.context, { manifest: this.manifest, input, chunks });
  }

  /** What the batch is made of and what is done of it, by the store; after a change of owner or validation, and before the end. */
  private async recover(): Promise<{ input: BatchInput; chunks: ChunkLedger }> {
    const input = await this.work.input();
    if (input === null) throw new Error(`the rows of ${this.id} are gone`);
    const isNew = this.chunks === null;
    const timeline = (this.timeline ??= await TimelineFile.open(this.context.batches, this.id, input.table, this.context.log));
    const chunks = this.chunks ?? new ChunkLedger(this.id, input.table.chunkCount, Date.now, (...move) => timeline.recorder.moved(...move));
    chunks.recover(await this.context.batches.results(this.id).recover());
    timeline.recorder.recovered(chunks);
    // Without Redis there is nothing to take over: what it then brings is done before it is queued once more, or discarded.
    if (isNew) await this.queue.adoptJobs(chunks).catch((error: Error) => this.context.log.debug({ err: error }, 'Redis'));
    Object.assign(this.counts, chunks.rows());
    this.chunks = chunks;
    this.table = input.table;
    return { input, chunks };
  }

  private async follow({ isPaused, priority }: BatchControl): Promise<void> {
    const was = this.control;
    this.control = { isPaused, priority };
    if (was.priority !== priority) {
      this.manifest.priority = priority;
      this.work.setWeight(this.ownShare.of(priority).weight);
      this.file.touch();
    }
    const { chunks } = this;
    if (was.isPaused === isPaused || chunks === null || !this.isInWork) return;
    if (isPaused) {
      chunks.close();
      this.setPaused(PAUSED_BY_REQUEST);
      await this.queue.forget(chunks);
      return;
    }
    this.ownShare.restart();
    this.setPaused(null);
    chunks.open();
    this.queue.onFeedable();
  }

  private setPaused(reason: string | null): void {
    if (reason === this.manifest.paused) return;
    this.manifest.paused = reason;
    this.report.pausedBy(reason);
  }

  private settleIfDone(): void {
    const isComplete = this.chunks?.isComplete === true;
    const isStopped =
      this.manifest.outcome !== null &&
      (this.runningChunks === 0 || (this.decidedMs !== null && performance.now() - this.decidedMs > SETTLE_MS[this.manifest.outcome]));
    if (this.isOver() || isComplete || isStopped) this.onSettled();
  }

  private async end(outcome: Exclude<BatchOutcome, 'completed'>, requestedAt: number | null): Promise<void> {
    this.manifest.outcome = outcome;
    this.manifest.paused = null;
    this.decidedMs = performance.now();
    this.chunks?.close();
    this.validation.abort();
    if (outcome === 'cancelled') {
      // A batch that was not validated has no rows to speak of.
      const next = this.status === 'validating' ? 'cancelled' : 'cancelling';
      const at = requestedAt ?? nowSeconds();
      await this.advance(next, { cancelling_at: at, ...(next === 'cancelled' ? { cancelled_at: nowSeconds() } : {}) });
    }
    this.desk.stop(this.id, outcome === 'cancelled' ? 'batch_cancelled' : 'batch_expired');
    // Or nodes would take them only to refuse them, and the batch would wait for that.
    if (this.chunks !== null) await this.queue.forget(this.chunks);
    this.settleIfDone();
  }

  /** Keeps what is done of a batch of which runners crash. */
  private giveUp(): void {
    this.manifest.batch.errors = validationErrors([CRASHED]);
    this.manifest.outcome = 'failed';
    this.decidedMs = performance.now();
    this.chunks?.close();
    this.settleIfDone();
  }

  /** Fails a batch that cannot be read; the answers of one whose table cannot be written are kept as lines. */
  private async goOnWithoutTable({ message }: TableTrouble): Promise<void> {
    this.context.log.error({ batch_id: this.id, reason: message }, 'a table failed three times for the same reason');
    if (this.status === 'validating') return this.fail([{ code: 'invalid_table', message, param: 'input', line: null }]);
    this.hasNoTable = true;
    const reason = `The output cannot be written as a table and has JSON Lines instead: ${message}`;
    this.manifest.batch.errors = validationErrors([{ code: 'output_failed', message: reason, param: 'output', line: null }]);
    if (this.manifest.outcome === 'completed') this.manifest.outcome = 'failed';
  }

  private get counts(): Manifest['batch']['request_counts'] {
    return this.manifest.batch.request_counts;
  }

  /** What is done of it cannot be told from what is not. */
  private endWithoutInput(): Promise<void> {
    if (this.status === 'cancelling') return this.advance('cancelled', { cancelled_at: nowSeconds() });
    return this.fail([{ code: 'file_not_found', message: 'The input file is gone.', param: 'input_file_id', line: null }]);
  }

  private fail(errors: BatchValidationError[]): Promise<void> {
    return this.advance('failed', { failed_at: nowSeconds(), errors: validationErrors(errors) });
  }

  /** The one way to change the status: logged, written, durable. */
  private async advance(status: BatchStatus, changes: Partial<Manifest['batch']>): Promise<void> {
    Object.assign(this.manifest.batch, changes, { status });
    this.manifest.paused = null;
    this.report.entered(status);
    this.context.log.info({ batch_id: this.id, status, counts: this.counts }, 'batch');
    await this.insist(() => this.file.save());
    if (!isTerminal(status) || this.isLost) return;
    traceWholeBatch(this.context.tracing, this.manifest);
    await this.context.onOver(this.manifest);
  }

  /** Goes on while the disk is full or the store is away. */
  private async insist(save: () => Promise<boolean>): Promise<void> {
    while (!(await save()) && !this.context.isStopping()) await sleep(RETRY_MS_MIN);
  }

  private async explainTrouble(error: Error): Promise<void> {
    const reason = error instanceof InterleaveError ? error.message : `${error.name}: ${error.message}`;
    this.context.log.warn({ batch_id: this.id, err: error }, 'batch waits to try again');
    this.setPaused(reason);
    await this.file.save();
  }
}

const nowSeconds = (): number => Math.floor(Date.now() / 1000);

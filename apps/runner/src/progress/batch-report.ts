import { isDeepStrictEqual } from 'node:util';
import type { BatchLogEvent, BatchProgress, BatchStatus } from '@app/contracts';
import { withLogEntry, type Manifest } from '@app/batches';
import type { ChunkLedger } from '../chunks/chunk-ledger';
import { ProgressMeter } from './progress-meter';

/** While nothing is worked on. */
const STANDING = { rows_per_second: null, seconds_left: null } satisfies Partial<BatchProgress>;

/** What the owner of a batch tells of it in the manifest: how it gets on, and what happened. `onChange`: the manifest is to be written. */
export class BatchReport {
  private readonly meter = new ProgressMeter();

  constructor(
    private readonly manifest: Manifest,
    private readonly onChange: () => void,
  ) {}

  /** 0: none is known. */
  get rowsPerSecond(): number {
    return this.meter.rowsPerSecond;
  }

  /** For how long no row has been done. */
  get idleMs(): number {
    return this.meter.idleMs(performance.now());
  }

  /** Null: not known. */
  get secondsLeft(): number | null {
    return this.manifest.progress?.seconds_left?.expected ?? null;
  }

  note(event: BatchLogEvent, message: string): void {
    this.manifest.log = withLogEntry(this.manifest.log ?? [], event, message);
    this.onChange();
  }

  /** Before the manifest says so. */
  ownedBy(nodeId: string): void {
    const before = this.manifest.writer?.nodeId;
    const after = before === nodeId ? ' again' : ` after node ${before}`;
    this.note('owner', `node ${nodeId} has it${before === undefined ? '' : after}`);
  }

  /** Null: it goes on. */
  pausedBy(reason: string | null): void {
    if (reason === null) return this.note('resumed', 'goes on');
    this.meter.pause();
    if (this.manifest.progress !== undefined) this.stand(this.manifest.progress.failures);
    this.note('paused', reason);
  }

  entered(status: BatchStatus): void {
    const { total, completed, failed } = this.manifest.batch.request_counts;
    if (this.manifest.progress !== undefined) this.stand(this.manifest.progress.failures);
    this.note('status', total === 0 ? status : `${status}: ${completed} of ${total} rows completed, ${failed} failed`);
  }

  /** What has a line of a chunk that runs, on any node. */
  noteRows(chunkIndex: number, rows: number): void {
    this.meter.noteRows(chunkIndex, rows);
  }

  /** `share`: as `Reading.share`. */
  update(ledger: ChunkLedger, share: number): void {
    const { paused, batch, progress: before } = this.manifest;
    if (paused !== null) this.meter.pause();
    const progress = this.meter.read({ ledger, total: batch.request_counts.total, share, nowMs: performance.now() });
    if (isDeepStrictEqual(progress, before)) return;
    this.manifest.progress = progress;
    this.onChange();
  }

  /** No row is worked on any more. */
  stand(failures: BatchProgress['failures']): void {
    this.manifest.progress = { ...STANDING, failures };
  }
}

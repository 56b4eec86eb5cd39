import type { BatchStore, ChunkTable } from '@app/batches';
import type { ChunkTimeline } from '@app/contracts';
import type { Logger } from '@app/telemetry';
import type { ChunkLedger } from '../chunks/chunk-ledger';
import { ChunkTimelineRecorder } from './chunk-timeline';

/** A bucket asks for money for each write. */
const WRITE_MS = { directory: 2_000, bucket: 10_000 };

/** The timeline of one batch in the store, for people: what cannot be read or written stops nothing. */
export class TimelineFile {
  private writtenMs = -Infinity;

  private constructor(
    readonly recorder: ChunkTimelineRecorder,
    private readonly batches: BatchStore,
    private readonly batchId: string,
    private readonly log: Logger,
  ) {}

  /** Goes on with what an owner before wrote. */
  static async open(batches: BatchStore, batchId: string, table: ChunkTable, log: Logger): Promise<TimelineFile> {
    const before = await batches.readTimeline(batchId).catch((): ChunkTimeline | null => null);
    return new TimelineFile(new ChunkTimelineRecorder(table, before), batches, batchId, log);
  }

  /** Now and then, if anything happened. */
  async saveIfDue(ledger: ChunkLedger): Promise<void> {
    if (performance.now() - this.writtenMs >= WRITE_MS[this.batches.kind]) await this.save(ledger);
  }

  async save(ledger: ChunkLedger): Promise<void> {
    if (!this.recorder.isStale) return;
    this.writtenMs = performance.now();
    try {
      await this.batches.writeTimeline(this.batchId, this.recorder.read(ledger));
    } catch (error) {
      this.log.debug({ batch: this.batchId, err: error }, 'the timeline of its chunks could not be written');
    }
  }
}

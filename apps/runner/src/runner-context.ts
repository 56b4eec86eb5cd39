import type { BatchStore, ChunkResult, CrashMarks, FileStore, ObjectStore } from '@app/batches';
import type { JsonLimits } from '@app/protocols';
import type { Logger } from '@app/telemetry';
import type { RowEngine } from './chunks/row-engine';

/** What a batch in the runner needs of its surroundings. */
export interface RunnerContext {
  readonly batches: BatchStore;
  readonly files: FileStore;
  readonly store: ObjectStore;
  readonly crashMarks: CrashMarks;
  readonly engine: RowEngine;
  readonly rowLimits: JsonLimits;
  /** Crashes of runners before this one. */
  readonly crashes: number;
  readonly log: Logger;
  /** True once the process is about to end: nothing is begun any more. */
  isStopping(): boolean;
  /** False while another batch has a turn of its own, because runners crashed while it was in work. */
  mayWork(batchId: string): boolean;
  /** A batch has chunks to queue. */
  onFeedable(): void;
  onCommitted(result: ChunkResult): void;
}

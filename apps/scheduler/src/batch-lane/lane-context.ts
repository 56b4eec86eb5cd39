import type { BatchStore, ChunkResult, DiskGuard, FileStore, OutputAssembler } from '@app/queues';
import type { Logger } from '@app/telemetry';
import type { RowEngine } from './row-engine';

/** What a batch in the runner needs of its surroundings. */
export interface LaneContext {
  readonly batches: BatchStore;
  readonly files: FileStore;
  readonly disk: DiskGuard;
  readonly assembler: OutputAssembler;
  readonly engine: RowEngine;
  readonly log: Logger;
  /** True once the process is about to end: nothing is begun any more. */
  isStopping(): boolean;
  /** A batch has chunks to queue. */
  onFeedable(): void;
  onCommitted(result: ChunkResult): void;
}

import type { BatchStore, ChunkResult, CrashMarks, FileStore, Manifest, ObjectStore } from '@app/batches';
import type { JsonLimits } from '@app/protocols';
import type { Logger, Tracing } from '@app/telemetry';
import type { RowEngine } from './chunks/row-engine';
import type { TableSettings } from './tables/table-settings';

/** What the batch lane needs of its surroundings. */
export interface RunnerContext {
  /** The name of this node in the fleet; no other node may have it. */
  readonly nodeId: string;
  readonly store: ObjectStore;
  readonly batches: BatchStore;
  readonly files: FileStore;
  readonly engine: RowEngine;
  readonly rowLimits: JsonLimits;
  /** Most rows of a chunk. */
  readonly chunkRowsMax: number;
  readonly crashMarks: CrashMarks;
  /** Crashes of this node's runners before this one. */
  readonly crashes: number;
  readonly tables: TableSettings;
  readonly log: Logger;
  /** Null: nothing is traced. */
  readonly tracing: Tracing | null;
  /** True once the process is about to end: nothing is begun any more. */
  isStopping(): boolean;
  /** A chunk was done here. `isFirst` false: another node was faster, and its result counts. */
  onCommitted(result: ChunkResult, isFirst: boolean): void;
  /**
   * The manifest says that the batch is over. Tells who wants to know, then removes its mark; what fails is done again by who finds the
   * mark.
   */
  onOver(manifest: Manifest): Promise<void>;
}

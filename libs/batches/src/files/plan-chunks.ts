import { ChunkTable, type Chunk } from './line-index';

export interface PlanLimits {
  /** Predicted time of one executor for a row; 0: unknown. */
  secondsPerRow: number;
  /** Of a chunk. */
  rowsMax: number;
  bytesMax: number;
}

/** A chunk is worth so much time of one executor: long enough to be cheap, short enough to be fair and to be lost. */
const CHUNK_SECONDS = 3;
const ROWS_UNKNOWN = 512;
/** The first chunk has so many, each further one twice as many as the one before, so that progress shows soon. */
const FIRST_ROWS = 64;
/** Several nodes share also a small batch. */
const CHUNKS_MIN = 8;

/**
 * Divides a file into chunks of about equal predicted time, each of one or more whole granules. A granule is not divided, however much it
 * is worth.
 */
export function planChunks(granules: ChunkTable, limits: PlanLimits): ChunkTable {
  const starts: Chunk[] = [];
  let rows = 0;
  for (let index = 0; index < granules.chunkCount; index++) {
    const granule = granules.chunk(index);
    const first = starts.at(-1);
    const isNew =
      first === undefined ||
      rows + granule.rowCount > rowsOf(starts.length - 1, granules.rowCount, limits) ||
      granule.end - first.offset > limits.bytesMax;
    if (isNew) starts.push(granule);
    rows = (isNew ? 0 : rows) + granule.rowCount;
  }
  return ChunkTable.of(starts, granules);
}

/** Rows that a chunk may have. */
function rowsOf(index: number, rowsTotal: number, { secondsPerRow, rowsMax }: PlanLimits): number {
  const worth = secondsPerRow > 0 ? Math.round(CHUNK_SECONDS / secondsPerRow) : ROWS_UNKNOWN;
  return Math.min(worth, rowsMax, Math.ceil(rowsTotal / CHUNKS_MIN), FIRST_ROWS * 2 ** Math.min(index, 20));
}

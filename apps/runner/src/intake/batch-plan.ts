import {
  ChunkTable,
  CHUNK_BYTES_MAX,
  decodeLineIndex,
  LineIndexer,
  planChunks,
  storeKeys,
  type Manifest,
  type ObjectStore,
} from '@app/batches';

/** A dry run computes so many rows. */
const DRY_RUN_ROWS = 100;

/** Rows in the store, and the pieces that chunks are made of. */
interface PlannedRows {
  contentKey: string;
  table: ChunkTable;
}

/**
 * Divides a batch that begins into chunks, the same for every node and every later owner, and tells where they end. The first plan that
 * is written counts.
 */
export async function makePlan(
  { store }: { store: ObjectStore },
  manifest: Manifest,
  input: PlannedRows,
  limits: { secondsPerRow: number; rowsMax: number },
): Promise<NonNullable<Manifest['plan']>> {
  const rows = manifest.isDryRun === true ? await firstRows(store, input, DRY_RUN_ROWS) : input.table;
  const table = planChunks(rows, { ...limits, bytesMax: CHUNK_BYTES_MAX });
  await store.putIfAbsent(storeKeys.batch(manifest.batch.id).plan, table.encode());
  return { bytes: table.byteCount, rows: table.rowCount };
}

/** The file up to its row `count`. */
async function firstRows(store: ObjectStore, { table, contentKey }: PlannedRows, count: number): Promise<ChunkTable> {
  if (table.rowCount <= count) return table;
  const granules = Array.from({ length: table.chunkCount }, (_, index) => table.chunk(index)).filter(({ firstRow }) => firstRow < count);
  const last = granules.at(-1);
  if (last === undefined || last.firstRow + last.rowCount === count)
    return ChunkTable.of(granules, { byteCount: last?.end ?? 0, rowCount: count });
  const lines = new LineIndexer({ chunkRows: 1, chunkBytesMax: Infinity, rowsMax: Infinity, rowBytesMax: Infinity });
  for await (const part of store.read(contentKey, { start: last.offset, end: last.end })) lines.push(part);
  const rowTable = decodeLineIndex(lines.encode(), { bytes: last.end - last.offset, rows: last.rowCount });
  return ChunkTable.of(granules, { byteCount: last.offset + rowTable.chunk(count - last.firstRow).offset, rowCount: count });
}

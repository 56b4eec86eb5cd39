import type { Manifest } from '../manifests/manifest';
import type { ObjectStore } from '../storage/object-store';
import { storeKeys } from '../storage/store-keys';
import type { FileStore } from './file-store';
import { decodeLineIndex, type ChunkTable } from './line-index';
import { readPreparedRows, type PreparedRows } from './prepared-rows';

/**
 * The rows of a batch in the store, divided into its chunks; of one that has not begun, into the pieces that chunks are made of. Null:
 * they are gone, or not prepared yet.
 */
export async function readBatchRows(
  { store, files }: { store: ObjectStore; files: FileStore },
  manifest: Manifest,
): Promise<PreparedRows | null> {
  const { batch, hasPreparedRows } = manifest;
  const rows = hasPreparedRows === true ? await readPreparedRows(store, batch.id) : await linesOf(store, files, batch.input_file_id);
  return rows === null ? null : { ...rows, table: await plannedTable(store, manifest, async () => rows.table) };
}

/** The chunks of a batch that has begun; those of `granules` where it has not, or a former release began it. */
export async function plannedTable(
  store: ObjectStore,
  { batch, plan }: Manifest,
  granules: () => Promise<ChunkTable>,
): Promise<ChunkTable> {
  if (plan === undefined) return granules();
  const key = storeKeys.batch(batch.id).plan;
  const stored = await store.get(key);
  if (stored === null) throw new Error(`${key} is gone, by which the batch was divided into chunks; cancel the batch and submit it again`);
  return decodeLineIndex(stored.bytes, plan);
}

/** Of the input file; null: it is gone. */
async function linesOf(store: ObjectStore, files: FileStore, fileId: string | null): Promise<PreparedRows | null> {
  const record = fileId === null ? null : await files.find(fileId);
  if (record === null || (await store.head(files.contentKey(record.id))) === null) return null;
  return { contentKey: files.contentKey(record.id), table: await files.readChunkTable(record), columns: [] };
}

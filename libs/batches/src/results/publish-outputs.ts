import { nowSeconds, readFileRecord, type FileRecord } from '../files/file-record';
import type { Manifest } from '../manifests/manifest';
import type { ObjectStore } from '../storage/object-store';
import { storedJson } from '../storage/stored-json';
import { storeKeys } from '../storage/store-keys';
import type { ChunkPart, ChunkResult } from './chunk-results';
import { ResultTable } from './result-table';

export interface PublishedOutputs {
  /** Null: no row has a line in it, so there is no file. */
  output: FileRecord | null;
  errors: FileRecord | null;
}

/**
 * Makes the output and the error file of a batch out of the results of its chunks, whose lines stay where they are: a table
 * says what the files are made of. The first table that is written counts, so done again, after a kill or by another node, it
 * gives the same files. `resultOf` is null for chunks whose rows are in neither file.
 */
export async function publishOutputs(
  store: ObjectStore,
  batch: { manifest: Manifest; chunkCount: number; resultOf: (index: number) => ChunkResult | null },
): Promise<PublishedOutputs> {
  const { manifest, chunkCount, resultOf } = batch;
  const { id } = manifest.batch;
  await store.putIfAbsent(storeKeys.batch(id).resultTable, ResultTable.of(id, chunkCount, resultOf).encode());
  const table = await ResultTable.read(store, id);
  if (table === null) throw new Error(`results.idx of ${id} was removed while it was read`);
  return {
    output: await publish(store, manifest, table, 'output'),
    errors: await publish(store, manifest, table, 'error'),
  };
}

async function publish(store: ObjectStore, manifest: Manifest, table: ResultTable, part: ChunkPart): Promise<FileRecord | null> {
  const { bytes, rows } = table.facts(part);
  if (bytes === 0) return null;
  const { outputExpiresAfterSeconds: life, tenant, batch } = manifest;
  const id = part === 'output' ? manifest.outputFileId : manifest.errorFileId;
  const createdAt = nowSeconds();
  const record: FileRecord = {
    formatVersion: 2,
    id,
    bytes,
    rows,
    createdAt,
    expiresAt: life === null ? null : createdAt + life,
    filename: `${batch.id}_${part}.jsonl`,
    purpose: 'batch_output',
    tenant,
    source: { batchId: batch.id, part },
  };
  await store.putIfAbsent(storeKeys.file(id).record, storedJson(record));
  const published = await readFileRecord(store, id);
  if (published === null) throw new Error(`file ${id} of ${batch.id} was removed while it was made`);
  return published;
}

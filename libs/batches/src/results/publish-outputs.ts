import { nowSeconds, readFileRecord, type FileRecord } from '../files/file-record';
import { BatchStore } from '../manifests/batch-store';
import { isTerminal, type Manifest } from '../manifests/manifest';
import type { OutputFormat } from '../manifests/table-io';
import type { ObjectStore } from '../storage/object-store';
import { storedJson } from '../storage/stored-json';
import { storeKeys } from '../storage/store-keys';
import type { ChunkPart, ChunkResult } from './chunk-results';
import { ResultTable } from './result-table';

/** Makes the bytes of an output that is a table, under the id of the output file, of the results that it is to hold. */
export type MakeTable = (resultOf: (index: number) => Omit<ChunkResult, 'failures'>) => Promise<OutputTable>;

interface OutputTable {
  format: Exclude<OutputFormat, 'jsonl'>;
  bytes: number;
}

export interface PublishedOutputs {
  /** Null: no row has a line in it, so there is no file. */
  output: FileRecord | null;
  errors: FileRecord | null;
}

/**
 * Makes the output and the error file of a batch out of the results of its chunks, whose lines stay where they are: a table
 * says what the files are made of. An output that is a table has bytes of its own. The first table that is written counts, so done
 * again, after a kill or by another node, it gives the same files. `resultOf` is null for chunks whose rows are in neither file. Rejects
 * where another node has ended the batch meanwhile: its files may be deleted, and must not come back.
 */
export async function publishOutputs(
  store: ObjectStore,
  batch: {
    manifest: Manifest;
    chunkCount: number;
    resultOf: (index: number) => ChunkResult | null;
    makeTable: MakeTable | null;
  },
): Promise<PublishedOutputs> {
  const { manifest, chunkCount, resultOf, makeTable } = batch;
  const { id } = manifest.batch;
  await requireOpen(store, id);
  await store.putIfAbsent(storeKeys.batch(id).resultTable, ResultTable.of(id, chunkCount, resultOf).encode());
  const table = await ResultTable.read(store, id);
  if (table === null) throw new Error(`results.idx of ${id} was removed while it was read`);
  const outputTable = makeTable === null ? null : await makeTable((index) => table.resultOf(index));
  if (makeTable !== null) await requireOpen(store, id); // it takes long
  const put: string[] = [];
  const published = await publishBoth(store, { manifest, table, outputTable, put }).catch((error: unknown) => ({ error }));
  const gone = await goneMeanwhile(store, manifest, put);
  for (const fileId of gone) await store.deleteAll(storeKeys.file(fileId).prefix);
  if (gone.length > 0) throw overElsewhere(id);
  if ('error' in published) throw published.error;
  return published;
}

/** `put`: gets the ids of the files that were not there. */
async function publishBoth(
  store: ObjectStore,
  of: { manifest: Manifest; table: ResultTable; outputTable: OutputTable | null; put: string[] },
): Promise<PublishedOutputs> {
  const { manifest, table, outputTable, put } = of;
  const output = await publish(store, manifest, table, { part: 'output', own: outputTable, put });
  return { output, errors: await publish(store, manifest, table, { part: 'error', own: null, put }) };
}

/** Files that must not be there: all of a deleted batch; of one that has ended, those that were deleted since and put again now. */
async function goneMeanwhile(store: ObjectStore, manifest: Manifest, put: readonly string[]): Promise<readonly string[]> {
  const now = await new BatchStore(store).read(manifest.batch.id);
  if (now === null) return [manifest.outputFileId, manifest.errorFileId];
  return isTerminal(now.batch.status) ? put : [];
}

async function requireOpen(store: ObjectStore, batchId: string): Promise<void> {
  const manifest = await new BatchStore(store).read(batchId);
  if (manifest === null || isTerminal(manifest.batch.status)) throw overElsewhere(batchId);
}

const overElsewhere = (batchId: string): Error => new Error(`batch ${batchId} is over: another node has ended it`);

async function publish(
  store: ObjectStore,
  manifest: Manifest,
  table: ResultTable,
  { part, own, put }: { part: ChunkPart; own: OutputTable | null; put: string[] },
): Promise<FileRecord | null> {
  const { bytes: lineBytes, rows } = table.facts(part);
  const bytes = own?.bytes ?? lineBytes;
  if (bytes === 0) return null;
  const { outputExpiresAfterSeconds: life, tenant, batch } = manifest;
  const id = part === 'output' ? manifest.outputFileId : manifest.errorFileId;
  const createdAt = nowSeconds();
  const record: FileRecord = {
    formatVersion: own === null ? 2 : 3,
    id,
    bytes,
    rows,
    createdAt,
    expiresAt: life === null ? null : createdAt + life,
    filename: `${batch.id}_${part}.${own?.format ?? 'jsonl'}`,
    purpose: 'batch_output',
    tenant,
    source: { batchId: batch.id, part },
    ...(own === null ? {} : { table: own.format }),
  };
  if (await store.putIfAbsent(storeKeys.file(id).record, storedJson(record))) put.push(id);
  const published = await readFileRecord(store, id);
  if (published === null) throw new Error(`file ${id} of ${batch.id} was removed while it was made`);
  return published;
}

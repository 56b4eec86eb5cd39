import { createHash, randomBytes } from 'node:crypto';
import { InterleaveError } from '@app/contracts';
import type { TableColumn } from '../manifests/table-io';
import { checkRoom } from '../storage/disk-guard';
import type { ObjectStore, ObjectWriter } from '../storage/object-store';
import { readStored, storedJson } from '../storage/stored-json';
import { storeKeys } from '../storage/store-keys';
import { decodeLineIndex, LineIndexer, type ChunkTable, type IndexLimits } from './line-index';

const FORMATS = [1] as const;
const TOKEN_BYTES = 9;
const ROOM_CHECK_BYTES = 16 * 1024 * 1024;

/** `rows.json`: which of the rows that were prepared for a batch are its rows. */
interface PreparedRecord {
  formatVersion: 1;
  token: string;
  bytes: number;
  rows: number;
  columns: TableColumn[];
  /** Absent: a release before this one wrote it. */
  digest?: string;
}

/** Lines of requests that were made for a batch, in place of an input file. */
export interface PreparedRows {
  /** Of the lines in the store. */
  contentKey: string;
  table: ChunkTable;
  /** Of the table that they were made of: its id, then what the output is to have of it; empty: of no table, or none. */
  columns: TableColumn[];
  /** SHA-256 of the lines; absent: they were not prepared, or by a release before this one. */
  digest?: string;
}

export interface PreparedLimits extends IndexLimits {
  fileBytesMax: number;
}

/** Null: they are not prepared, or gone. */
export async function readPreparedRows(store: ObjectStore, batchId: string): Promise<PreparedRows | null> {
  const stored = await readStored<PreparedRecord>(store, storeKeys.batch(batchId).preparedRecord, FORMATS);
  if (stored === null) return null;
  const { token, bytes, rows, columns, digest } = stored.record;
  const { contentKey, indexKey } = keysOf(batchId, token);
  const [index, content] = [await store.get(indexKey), await store.head(contentKey)];
  if (index === null || content === null) return null;
  return { contentKey, table: decodeLineIndex(index.bytes, { bytes, rows }), columns, ...(digest === undefined ? {} : { digest }) };
}

/**
 * Writes the rows of one batch. Whoever commits first decides, for good; what others wrote for the same batch, of a source that may
 * have changed meanwhile, is discarded whole.
 */
export class PreparedRowsWriter {
  private readonly indexer: LineIndexer;
  private readonly hash = createHash('sha256');
  private bytesUntilRoomCheck = 0;

  private constructor(
    private readonly store: ObjectStore,
    private readonly batchId: string,
    private readonly token: string,
    private readonly content: ObjectWriter,
    private readonly limits: PreparedLimits,
  ) {
    this.indexer = new LineIndexer(limits);
  }

  static async begin(store: ObjectStore, batchId: string, limits: PreparedLimits): Promise<PreparedRowsWriter> {
    const token = randomBytes(TOKEN_BYTES).toString('hex');
    return new PreparedRowsWriter(store, batchId, token, await store.openWriter(keysOf(batchId, token).contentKey), limits);
  }

  /** Rejects with `too_large` or `storage_full`; the caller must then `discard`. */
  async append(part: Uint8Array): Promise<void> {
    if (this.indexer.byteCount + part.length > this.limits.fileBytesMax)
      throw new InterleaveError(
        'too_large',
        `The rows are longer than ${this.limits.fileBytesMax} bytes once they are unpacked; split the input or raise batch.fileBytesMax`,
        { param: 'input' },
      );
    this.indexer.push(part);
    this.bytesUntilRoomCheck -= part.length;
    if (this.bytesUntilRoomCheck < 0) {
      await checkRoom(this.store, part.length);
      this.bytesUntilRoomCheck = ROOM_CHECK_BYTES;
    }
    this.hash.update(part);
    await this.content.append(part);
  }

  async commit(columns: TableColumn[]): Promise<void> {
    const { store, batchId, token, indexer } = this;
    const { contentKey, indexKey } = keysOf(batchId, token);
    await this.content.commit();
    await store.put(indexKey, indexer.encode());
    const counts = { bytes: indexer.byteCount, rows: indexer.rowCount };
    const record: PreparedRecord = { formatVersion: 1, token, ...counts, columns, digest: this.hash.digest('hex') };
    if (await store.putIfAbsent(storeKeys.batch(batchId).preparedRecord, storedJson(record))) return;
    await store.delete(contentKey);
    await store.delete(indexKey);
  }

  /** Never rejects. */
  discard(): Promise<void> {
    return this.content.discard();
  }
}

function keysOf(batchId: string, token: string): { contentKey: string; indexKey: string } {
  const prefix = storeKeys.batch(batchId).preparedRows;
  return { contentKey: `${prefix}${token}.lines`, indexKey: `${prefix}${token}.idx` };
}

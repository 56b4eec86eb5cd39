import { InterleaveError, type FilePurpose } from '@app/contracts';
import { readPage, type Page, type PageRequest } from '../storage/id-page';
import { inParallel } from '../storage/in-parallel';
import type { ByteRange, ObjectStore } from '../storage/object-store';
import { SEES_ALL, type Sees } from '../storage/owner';
import { storeKeys } from '../storage/store-keys';
import { BatchStore } from '../manifests/batch-store';
import { idCreatedAtMs, isFileId } from '../manifests/ids';
import { ResultTable } from '../results/result-table';
import { nowSeconds, readFileRecord, type FileRecord } from './file-record';
import { decodeLineIndex, type ChunkTable } from './line-index';
import { Upload, type UploadLimits } from './upload';

/** What was begun this long ago and is not there yet, or not gone yet, belongs to a process that is gone. */
const ABANDONED_MS = 60 * 60 * 1000;
/** Takes a block of its own. */
const TRIAL_BYTES = 4096;
/** Batches that are looked at at once. */
const LOOKS_MAX = 16;

/** True while a batch still needs the files it uses. */
export type IsBatchOpen = (batchId: string) => Promise<boolean>;

/**
 * Uploaded and produced files. Stateless: any number of processes may have one over the same store.
 *
 * | state | what is there | left by |
 * |---|---|---|
 * | coming | no record | the record, put last → there; killed: `sweep` → gone |
 * | there | record | `delete` puts the tombstone → doomed |
 * | doomed | record, tombstone | a batch uses it: tombstone removed → there; else → gone; killed: `sweep` does it |
 * | gone | nothing | – |
 */
export class FileStore {
  private readonly batches: BatchStore;

  constructor(
    private readonly store: ObjectStore,
    private readonly limits: UploadLimits,
  ) {
    this.batches = new BatchStore(store);
  }

  /** Rejects with `too_large` or `storage_full` when a file of at least so many bytes cannot be taken. */
  checkAnnounced(bytesMin: number): Promise<void> {
    return Upload.check(this.store, this.limits, bytesMin);
  }

  /** Rejects with `storage_full` when `bytesExpected` (0: unknown) cannot fit. `fileId`: one that was reserved. */
  beginUpload(bytesExpected: number, fileId?: string): Promise<Upload> {
    return Upload.begin(this.store, this.limits, bytesExpected, fileId);
  }

  /** Rejects with the store's error when it cannot be written to. */
  async tryWrite(): Promise<void> {
    await this.store.put(storeKeys.trial, Buffer.alloc(TRIAL_BYTES));
  }

  /** Null when there is no such file. One that expired is found until it is swept: a batch may be reading it. */
  async find(fileId: string): Promise<FileRecord | null> {
    return isFileId(fileId) ? readFileRecord(this.store, fileId) : null;
  }

  /** Throws `not_found`. */
  async get(fileId: string, sees: Sees): Promise<FileRecord> {
    const record = await this.find(fileId);
    if (record === null || isExpired(record) || !sees(record.tenant)) throw fileNotFound(fileId);
    return record;
  }

  async list(page: PageRequest, purpose: FilePurpose | null, sees: Sees): Promise<Page<FileRecord>> {
    return readPage(await this.listIds(), page, async (id) => {
      const record = await this.find(id);
      const isListed = record !== null && !isExpired(record) && (purpose === null || record.purpose === purpose) && sees(record.tenant);
      return isListed ? record : null;
    });
  }

  /** Where the bytes of an uploaded file are in the store. */
  contentKey(fileId: string): string {
    return storeKeys.file(fileId).content;
  }

  /** Bytes of a file that `get` found. Fails when the file is deleted meanwhile. */
  async *openContent(record: FileRecord, range: ByteRange): AsyncGenerator<Buffer, void, void> {
    const { id, source, table: isTable } = record;
    if (source === undefined || isTable !== undefined) return yield* this.store.read(this.contentKey(id), range);
    const table = await ResultTable.read(this.store, source.batchId);
    if (table === null) throw new Error(`the results of ${source.batchId}, of which file ${id} is made, are gone`);
    yield* table.read(this.store, source.part, range);
  }

  async readChunkTable(record: FileRecord): Promise<ChunkTable> {
    const index = await this.store.get(storeKeys.file(record.id).lineIndex);
    if (index === null) throw fileNotFound(record.id);
    return decodeLineIndex(index.bytes, record);
  }

  /** Notes that a batch reads this file, before the batch exists. Throws `not_found`. */
  async addUse(fileId: string, batchId: string): Promise<void> {
    const use = `${storeKeys.file(fileId).uses}${batchId}`;
    await this.store.put(use, new Uint8Array());
    if (await this.mayUse(fileId)) return;
    await this.store.delete(use);
    throw fileNotFound(fileId);
  }

  /** False: the file is gone, or about to be. To be asked last, once the batch that uses it is there. */
  async mayUse(fileId: string): Promise<boolean> {
    const [record, tombstone] = await Promise.all([this.find(fileId), this.store.head(storeKeys.file(fileId).deleted)]);
    return record !== null && tombstone === null;
  }

  /**
   * Throws `conflict` while a batch uses the file. The tombstone comes first, then the look at the batches that use it: one that
   * was accepted before keeps the file, one that comes later sees the tombstone. Only who put a tombstone goes on from it, or
   * `sweep` after an hour.
   */
  async delete(fileId: string, isOpen: IsBatchOpen, sees: Sees): Promise<void> {
    const record = await this.find(fileId);
    if (record === null || !sees(record.tenant)) throw fileNotFound(fileId);
    await this.refuseInUse(record, isOpen);
    if (!(await this.store.putIfAbsent(storeKeys.file(fileId).deleted, new Uint8Array())))
      throw new InterleaveError('conflict', `File ${fileId} is being deleted; nothing is left to do`, { param: 'file_id' });
    await this.deleteDoomed(record, isOpen);
  }

  /** Removes what expired and what killed processes left; returns the ids of expired files. */
  async sweep(isOpen: IsBatchOpen): Promise<string[]> {
    await this.store.sweep(ABANDONED_MS);
    const expired: string[] = [];
    for (const id of await this.listIds()) {
      // One that cannot be read, because another version wrote it, must not keep the others from going.
      const record = await this.find(id).catch(() => undefined);
      if (record === undefined) continue;
      if (record === null) await this.removeAbandoned(id);
      else if (isExpired(record) && (await this.deleteUnlessUsed(record, isOpen))) expired.push(id);
      else if (await this.isOld(storeKeys.file(id).deleted)) await unlessInUse(this.deleteDoomed(record, isOpen));
    }
    return expired;
  }

  /** Ids of all files, oldest first; of some that are not quite there, too. */
  async listIds(): Promise<string[]> {
    return (await this.store.listNames(storeKeys.files)).filter(isFileId);
  }

  private deleteUnlessUsed(record: FileRecord, isOpen: IsBatchOpen): Promise<boolean> {
    return unlessInUse(this.delete(record.id, isOpen, SEES_ALL));
  }

  private async deleteDoomed(record: FileRecord, isOpen: IsBatchOpen): Promise<void> {
    const keys = storeKeys.file(record.id);
    try {
      await this.refuseInUse(record, isOpen);
    } catch (error) {
      await this.store.delete(keys.deleted);
      throw error;
    }
    await this.removeResults(record);
    await this.store.delete(keys.record);
    await this.store.deleteAll(keys.prefix);
  }

  /** The results of a batch go with the second of its two files. */
  private async removeResults({ id, source }: FileRecord): Promise<void> {
    if (source === undefined) return;
    const manifest = await this.batches.read(source.batchId);
    const other = manifest?.outputFileId === id ? manifest.errorFileId : manifest?.outputFileId;
    if (other === undefined || !(await this.mayUse(other))) await this.batches.removeChunks(source.batchId);
  }

  /** Of an upload or a deletion that was killed. */
  private async removeAbandoned(fileId: string): Promise<void> {
    const keys = storeKeys.file(fileId);
    if (Date.now() - idCreatedAtMs(fileId) <= ABANDONED_MS) return;
    // Neither is old while an upload ends: the index is written right before the content is there.
    for (const key of [keys.lineIndex, keys.content]) if ((await this.store.head(key)) !== null && !(await this.isOld(key))) return;
    await this.store.deleteAll(keys.prefix);
  }

  private async isOld(key: string): Promise<boolean> {
    const facts = await this.store.head(key);
    return facts !== null && Date.now() - facts.modifiedMs > ABANDONED_MS;
  }

  private async refuseInUse({ id, source }: FileRecord, isOpen: IsBatchOpen): Promise<void> {
    const uses = await this.store.listNames(storeKeys.file(id).uses);
    // The results that it is made of say what is left to a retry.
    const makers = source === undefined ? [] : [source.batchId, ...(await this.batches.listRetryIds(source.batchId))];
    await inParallel([...makers, ...uses], LOOKS_MAX, async (batchId) => {
      if (await isOpen(batchId))
        throw new InterleaveError('conflict', `File ${id} is used by ${batchId}; cancel that batch or wait for its end`, {
          param: 'file_id',
        });
    });
  }
}

/** False: it was not deleted, because a batch uses it or somebody else deletes it. */
async function unlessInUse(deletion: Promise<void>): Promise<boolean> {
  try {
    await deletion;
    return true;
  } catch (error) {
    if (error instanceof InterleaveError && (error.code === 'conflict' || error.code === 'not_found')) return false;
    throw error;
  }
}

function isExpired(record: FileRecord): boolean {
  return record.expiresAt !== null && record.expiresAt <= nowSeconds();
}

function fileNotFound(fileId: string): InterleaveError {
  return new InterleaveError('not_found', `No file with id ${JSON.stringify(fileId.slice(0, 64))}`, { param: 'file_id' });
}

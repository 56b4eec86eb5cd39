import { createReadStream, type ReadStream } from 'node:fs';
import { mkdir, readdir, readFile, rename, rm, stat, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { InterleaveError, type FilePurpose } from '@app/contracts';
import { listIds, readPage, type Page, type PageRequest } from '../storage/directory-page';
import { DiskGuard } from '../storage/disk-guard';
import { isMissing, orNullIfMissing, syncDirectory, TEMPORARY_SUFFIX } from '../storage/durable';
import { SEES_ALL, type Sees } from '../storage/owner';
import { nowSeconds, readFileRecord, type FileRecord } from './file-record';
import { isFileId } from '../manifests/ids';
import { decodeLineIndex, type ChunkTable } from './line-index';
import { filePaths, storagePaths, type StoragePaths } from '../storage/storage-paths';
import { Upload, type UploadLimits } from './upload';

/** An upload whose bytes stopped coming this long ago belongs to a process that is gone. */
const ABANDONED_MS = 60 * 60 * 1000;

/** True while a batch still needs the files it uses. */
export type IsBatchOpen = (batchId: string) => Promise<boolean>;

/** Uploaded and produced files on disk. Stateless: any number of processes may have one over the same directory. */
export class FileStore {
  private readonly paths: StoragePaths;

  constructor(
    dataDir: string,
    private readonly disk: DiskGuard,
    private readonly limits: UploadLimits,
  ) {
    this.paths = storagePaths(dataDir);
  }

  /** Rejects with `too_large` or `storage_full` when a file of at least so many bytes cannot be taken. */
  checkAnnounced(bytesMin: number): Promise<void> {
    return Upload.check({ limits: this.limits, disk: this.disk, bytesMin });
  }

  /** Rejects with `storage_full` when `bytesExpected` (0: unknown) cannot fit. */
  beginUpload(bytesExpected: number): Promise<Upload> {
    return Upload.begin({ paths: this.paths, limits: this.limits, disk: this.disk, bytesExpected });
  }

  /** Null when there is no such file. One that expired is found until it is swept: a batch may be reading it. */
  async find(fileId: string): Promise<FileRecord | null> {
    return isFileId(fileId) ? readFileRecord(this.paths.file(fileId)) : null;
  }

  /** Throws `not_found`. */
  async get(fileId: string, sees: Sees): Promise<FileRecord> {
    const record = await this.find(fileId);
    if (record === null || isExpired(record) || !sees(record.tenant)) throw fileNotFound(fileId);
    return record;
  }

  async list(page: PageRequest, purpose: FilePurpose | null, sees: Sees): Promise<Page<FileRecord>> {
    const ids = await listIds(this.paths.files, isFileId);
    return readPage(ids, page, async (id) => {
      const record = await this.find(id);
      const isListed = record !== null && !isExpired(record) && (purpose === null || record.purpose === purpose) && sees(record.tenant);
      return isListed ? record : null;
    });
  }

  /** Path of the bytes of a file that `get` found. */
  contentPath(fileId: string): string {
    return this.paths.file(fileId).content;
  }

  /** `end` is the first byte not read. The stream survives a deletion of the file. */
  openContent(fileId: string, range: { start: number; end: number }): ReadStream {
    return createReadStream(this.contentPath(fileId), { start: range.start, end: range.end - 1, highWaterMark: 256 * 1024 });
  }

  async readChunkTable(record: FileRecord): Promise<ChunkTable> {
    return decodeLineIndex(await readFile(this.paths.file(record.id).lineIndex), record);
  }

  /** Notes that a batch reads this file, before the batch exists. Throws `not_found`. */
  async addUse(fileId: string, batchId: string): Promise<void> {
    try {
      await writeFile(join(this.paths.file(fileId).uses, batchId), '', { mode: 0o600 });
    } catch (error) {
      throw isMissing(error) ? fileNotFound(fileId) : error;
    }
  }

  /**
   * Throws `conflict` while a batch uses the file. The file is first renamed and then looked at once more: a batch that
   * was accepted between the first look and the rename gets it back, one that comes later does not find it.
   */
  async delete(fileId: string, isOpen: IsBatchOpen, sees: Sees): Promise<void> {
    const record = await this.find(fileId);
    if (record === null || !sees(record.tenant)) throw fileNotFound(fileId);
    await this.refuseInUse(fileId, this.paths.file(fileId).directory, isOpen);
    const doomed = join(this.paths.files, `${fileId}.deleted${TEMPORARY_SUFFIX}`);
    try {
      await rename(this.paths.file(fileId).directory, doomed);
    } catch (error) {
      throw isMissing(error) ? fileNotFound(fileId) : error;
    }
    try {
      await this.refuseInUse(fileId, doomed, isOpen);
    } catch (error) {
      await rename(doomed, this.paths.file(fileId).directory);
      throw error;
    }
    await syncDirectory(this.paths.files);
    await rm(doomed, { recursive: true, force: true });
  }

  /** Removes what expired and what killed processes left; returns the ids of expired files. */
  async sweep(isOpen: IsBatchOpen): Promise<string[]> {
    const names = (await orNullIfMissing(readdir(this.paths.files))) ?? [];
    for (const name of names.filter((name) => name.endsWith(TEMPORARY_SUFFIX))) await this.removeAbandoned(join(this.paths.files, name));
    const expired: string[] = [];
    for (const id of names.filter(isFileId)) {
      // One that cannot be read, because another version wrote it, must not keep the others from going.
      const record = await this.find(id).catch(() => null);
      if (record === null || !isExpired(record)) continue;
      if (await this.deleteUnlessUsed(id, isOpen)) expired.push(id);
    }
    return expired;
  }

  async ensureDirectories(): Promise<void> {
    await mkdir(this.paths.files, { recursive: true, mode: 0o700 });
    await mkdir(this.paths.batches, { recursive: true, mode: 0o700 });
  }

  private async deleteUnlessUsed(fileId: string, isOpen: IsBatchOpen): Promise<boolean> {
    try {
      await this.delete(fileId, isOpen, SEES_ALL);
      return true;
    } catch (error) {
      if (error instanceof InterleaveError && (error.code === 'conflict' || error.code === 'not_found')) return false;
      throw error;
    }
  }

  private async removeAbandoned(directory: string): Promise<void> {
    const content = await orNullIfMissing(stat(filePaths(directory).content));
    const touched = content ?? (await orNullIfMissing(stat(directory)));
    if (touched !== null && Date.now() - touched.mtimeMs > ABANDONED_MS) await rm(directory, { recursive: true, force: true });
  }

  private async refuseInUse(fileId: string, directory: string, isOpen: IsBatchOpen): Promise<void> {
    for (const batchId of (await orNullIfMissing(readdir(filePaths(directory).uses))) ?? []) {
      if (await isOpen(batchId))
        throw new InterleaveError('conflict', `File ${fileId} is used by ${batchId}; cancel that batch or wait for its end`, {
          param: 'file_id',
        });
    }
  }
}

function isExpired(record: FileRecord): boolean {
  return record.expiresAt !== null && record.expiresAt <= nowSeconds();
}

function fileNotFound(fileId: string): InterleaveError {
  return new InterleaveError('not_found', `No file with id ${JSON.stringify(fileId.slice(0, 64))}`, { param: 'file_id' });
}

import { mkdir, open, rename, rm, type FileHandle } from 'node:fs/promises';
import { join } from 'node:path';
import { explainWriteError } from '../storage/disk-guard';
import { syncDirectory, TEMPORARY_SUFFIX, writeFileDurably } from '../storage/durable';
import type { FileRecord } from './file-record';
import { filePaths, type StoragePaths } from '../storage/storage-paths';

/**
 * A stored file in the making: a directory under a temporary name that gets its real one by a single rename.
 * Nothing is visible until `commit`. What a killed process leaves is removed by `FileStore.sweep`.
 */
export class StagedFile {
  private constructor(
    private readonly fileId: string,
    private readonly staging: ReturnType<typeof filePaths>,
    private readonly content: FileHandle,
    private readonly paths: StoragePaths,
  ) {}

  static async begin(paths: StoragePaths, fileId: string): Promise<StagedFile> {
    const staging = filePaths(join(paths.files, `${fileId}${TEMPORARY_SUFFIX}`));
    try {
      await rm(staging.directory, { recursive: true, force: true });
      await mkdir(staging.uses, { recursive: true, mode: 0o700 });
      return new StagedFile(fileId, staging, await open(staging.content, 'wx', 0o600), paths);
    } catch (error) {
      throw explainWriteError(error);
    }
  }

  async append(part: Uint8Array): Promise<void> {
    try {
      await this.content.writeFile(part);
    } catch (error) {
      throw explainWriteError(error);
    }
  }

  /** Makes content and record durable, then the name. `lineIndex` null: the file is no batch input. */
  async commit(record: FileRecord, lineIndex: Buffer | null): Promise<void> {
    try {
      await this.content.datasync();
      await this.content.close();
      if (lineIndex !== null) await writeFileDurably(this.staging.lineIndex, lineIndex, { syncParent: false });
      await writeFileDurably(this.staging.record, JSON.stringify(record), { syncParent: true });
      await rename(this.staging.directory, this.paths.file(this.fileId).directory);
      await syncDirectory(this.paths.files);
    } catch (error) {
      throw explainWriteError(error);
    }
  }

  /** Leaves nothing behind; harmless after `commit`. */
  async discard(): Promise<void> {
    await this.content.close().catch(() => undefined);
    await rm(this.staging.directory, { recursive: true, force: true });
  }
}

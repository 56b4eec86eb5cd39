import type { FilePurpose } from '@app/contracts';
import type { DiskGuard } from '../storage/disk-guard';
import { nowSeconds, readFileRecord, type FileRecord } from '../files/file-record';
import { StagedFile } from '../files/staged-file';
import { storagePaths, type StoragePaths } from '../storage/storage-paths';

const DISK_CHECK_BYTES = 16 * 1024 * 1024;
const OUTPUT_PURPOSE: FilePurpose = 'batch_output';

/** Makes the output and error files of batches out of streams of whole lines. */
export class OutputAssembler {
  private readonly paths: StoragePaths;

  constructor(
    dataDir: string,
    private readonly disk: DiskGuard,
  ) {
    this.paths = storagePaths(dataDir);
  }

  /**
   * Stores the lines as a file; when it resolves, the file is durable. Null when there are no lines: then there is no
   * file. Doing it again after a kill gives the same file and reads nothing when it is there already.
   * Rejects with `storage_full` when the disk has no room, leaving nothing.
   */
  async assemble(
    target: { fileId: string; filename: string; tenant: string; expiresAfterSeconds: number | null },
    lines: AsyncIterable<Uint8Array>,
  ): Promise<FileRecord | null> {
    const existing = await readFileRecord(this.paths.file(target.fileId));
    if (existing !== null) return existing;
    const staged = await StagedFile.begin(this.paths, target.fileId);
    try {
      const { bytes, rows } = await this.copy(lines, staged);
      if (bytes === 0) {
        await staged.discard();
        return null;
      }
      const createdAt = nowSeconds();
      const { fileId: id, filename, tenant, expiresAfterSeconds } = target;
      const expiresAt = expiresAfterSeconds === null ? null : createdAt + expiresAfterSeconds;
      const purpose = OUTPUT_PURPOSE;
      const record: FileRecord = { formatVersion: 1, id, bytes, rows, createdAt, expiresAt, filename, purpose, tenant };
      await staged.commit(record, null);
      return record;
    } catch (error) {
      await staged.discard();
      throw error;
    }
  }

  private async copy(lines: AsyncIterable<Uint8Array>, staged: StagedFile): Promise<{ bytes: number; rows: number }> {
    let bytes = 0;
    let rows = 0;
    let bytesUntilDiskCheck = 0;
    for await (const part of lines) {
      bytesUntilDiskCheck -= part.length;
      if (bytesUntilDiskCheck < 0) {
        await this.disk.check(part.length);
        bytesUntilDiskCheck = DISK_CHECK_BYTES;
      }
      await staged.append(part);
      bytes += part.length;
      rows += countLineEnds(part);
    }
    return { bytes, rows };
  }
}

function countLineEnds(part: Uint8Array): number {
  let count = 0;
  for (let at = part.indexOf(0x0a); at !== -1; at = part.indexOf(0x0a, at + 1)) count += 1;
  return count;
}

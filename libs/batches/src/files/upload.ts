import { InterleaveError, type FilePurpose } from '@app/contracts';
import type { DiskGuard } from '../storage/disk-guard';
import { nowSeconds, type FileRecord } from './file-record';
import { newFileId } from '../manifests/ids';
import { LineIndexer, type IndexLimits } from './line-index';
import { StagedFile } from './staged-file';
import type { StoragePaths } from '../storage/storage-paths';

const DISK_CHECK_BYTES = 16 * 1024 * 1024;

export interface UploadLimits extends IndexLimits {
  fileBytesMax: number;
}

/** A chunk of long rows ends here, before it has its number of rows. */
const CHUNK_BYTES_MAX = 8 * 1024 * 1024;

/** The limits of `batch` in the configuration, as uploads need them. */
export function uploadLimits(batch: Omit<UploadLimits, 'chunkBytesMax'>): UploadLimits {
  const { chunkRows, rowsMax, rowBytesMax, fileBytesMax } = batch;
  return { chunkRows, chunkBytesMax: CHUNK_BYTES_MAX, rowsMax, rowBytesMax, fileBytesMax };
}

export interface FileDescription {
  filename: string;
  purpose: FilePurpose;
  tenant: string;
  /** Null: kept until deleted. */
  expiresAfterSeconds: number | null;
}

/** A batch input that is being received; its lines are indexed on the way. */
export class Upload {
  private readonly indexer: LineIndexer;
  private bytesUntilDiskCheck = 0;

  private constructor(
    private readonly fileId: string,
    private readonly staged: StagedFile,
    private readonly limits: UploadLimits,
    private readonly disk: DiskGuard,
  ) {
    this.indexer = new LineIndexer(limits);
  }

  /** Rejects with `too_large` or `storage_full` when a file of at least so many bytes cannot be taken. */
  static async check({ limits, disk, bytesMin }: { limits: UploadLimits; disk: DiskGuard; bytesMin: number }): Promise<void> {
    if (bytesMin > limits.fileBytesMax) throw tooLarge(limits);
    await disk.check(bytesMin);
  }

  /** `bytesExpected`: what the sender announced, 0 when unknown; refused at once when it cannot fit. */
  static async begin(options: { paths: StoragePaths; limits: UploadLimits; disk: DiskGuard; bytesExpected: number }): Promise<Upload> {
    await options.disk.check(options.bytesExpected);
    const fileId = newFileId();
    return new Upload(fileId, await StagedFile.begin(options.paths, fileId), options.limits, options.disk);
  }

  /** Appends. Rejects with `too_large` or `storage_full`; the caller must then `discard`. */
  async write(part: Uint8Array): Promise<void> {
    if (this.indexer.byteCount + part.length > this.limits.fileBytesMax) throw tooLarge(this.limits);
    this.indexer.push(part);
    this.bytesUntilDiskCheck -= part.length;
    if (this.bytesUntilDiskCheck < 0) {
      await this.disk.check(part.length);
      this.bytesUntilDiskCheck = DISK_CHECK_BYTES;
    }
    await this.staged.append(part);
  }

  async commit(description: FileDescription): Promise<FileRecord> {
    const { filename, purpose, tenant, expiresAfterSeconds } = description;
    const createdAt = nowSeconds();
    const record: FileRecord = {
      formatVersion: 1,
      id: this.fileId,
      bytes: this.indexer.byteCount,
      rows: this.indexer.rowCount,
      createdAt,
      expiresAt: expiresAfterSeconds === null ? null : createdAt + expiresAfterSeconds,
      filename,
      purpose,
      tenant,
    };
    await this.staged.commit(record, this.indexer.encode());
    return record;
  }

  discard(): Promise<void> {
    return this.staged.discard();
  }
}

const tooLarge = ({ fileBytesMax }: UploadLimits): InterleaveError =>
  new InterleaveError('too_large', `The file is longer than ${fileBytesMax} bytes; split it or raise batch.fileBytesMax`, {
    param: 'file',
  });

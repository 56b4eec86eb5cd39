import { InterleaveError, type FilePurpose } from '@app/contracts';
import { checkRoom } from '../storage/disk-guard';
import { nowSeconds, type FileRecord } from './file-record';
import { newFileId } from '../manifests/ids';
import type { IndexLimits } from './line-index';
import type { ObjectStore, ObjectWriter } from '../storage/object-store';
import { storedJson } from '../storage/stored-json';
import { storeKeys } from '../storage/store-keys';
import { UploadIndex } from './upload-index';

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

/** A batch input that is being received; its lines, if it has any, are indexed on the way. */
export class Upload {
  private readonly indexer: UploadIndex;
  private bytesUntilDiskCheck = 0;

  private constructor(
    private readonly fileId: string,
    private readonly content: ObjectWriter,
    private readonly limits: UploadLimits,
    private readonly store: ObjectStore,
  ) {
    this.indexer = new UploadIndex(limits);
  }

  /** Rejects with `too_large` or `storage_full` when a file of at least so many bytes cannot be taken. */
  static async check(store: ObjectStore, limits: UploadLimits, bytesMin: number): Promise<void> {
    if (bytesMin > limits.fileBytesMax) throw tooLarge(limits);
    await checkRoom(store, bytesMin);
  }

  /** `bytesExpected`: what the sender announced, 0 when unknown; refused at once when it cannot fit. */
  static async begin(store: ObjectStore, limits: UploadLimits, bytesExpected: number): Promise<Upload> {
    await checkRoom(store, bytesExpected);
    const fileId = newFileId();
    return new Upload(fileId, await store.openWriter(storeKeys.file(fileId).content), limits, store);
  }

  /** Appends. Rejects with `too_large` or `storage_full`; the caller must then `discard`. */
  async write(part: Uint8Array): Promise<void> {
    if (this.indexer.byteCount + part.length > this.limits.fileBytesMax) throw tooLarge(this.limits);
    this.indexer.push(part);
    this.bytesUntilDiskCheck -= part.length;
    if (this.bytesUntilDiskCheck < 0) {
      await checkRoom(this.store, part.length);
      this.bytesUntilDiskCheck = DISK_CHECK_BYTES;
    }
    await this.content.append(part);
  }

  /** The file is there once its record is, which comes last. */
  async commit(description: FileDescription): Promise<FileRecord> {
    const { filename, purpose, tenant, expiresAfterSeconds } = description;
    const createdAt = nowSeconds();
    const { lines, binary } = this.indexer.finish();
    const record: FileRecord = {
      formatVersion: binary === null ? 1 : 3,
      id: this.fileId,
      bytes: this.indexer.byteCount,
      rows: lines?.rows ?? 0,
      createdAt,
      expiresAt: expiresAfterSeconds === null ? null : createdAt + expiresAfterSeconds,
      filename,
      purpose,
      tenant,
      ...(binary === null ? {} : { binary }),
    };
    const keys = storeKeys.file(this.fileId);
    if (lines !== null) await this.store.put(keys.lineIndex, lines.encoded);
    await this.content.commit();
    await this.store.put(keys.record, storedJson(record));
    return record;
  }

  discard(): Promise<void> {
    return this.content.discard();
  }
}

const tooLarge = ({ fileBytesMax }: UploadLimits): InterleaveError =>
  new InterleaveError('too_large', `The file is longer than ${fileBytesMax} bytes; split it or raise batch.fileBytesMax`, {
    param: 'file',
  });

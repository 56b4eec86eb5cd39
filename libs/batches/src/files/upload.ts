import { createHash } from 'node:crypto';
import { InterleaveError, type FilePurpose } from '@app/contracts';
import { checkRoom, RoomCheck } from '../storage/disk-guard';
import { nowSeconds, type FileRecord } from './file-record';
import { newFileId } from '../manifests/ids';
import type { IndexLimits } from './line-index';
import type { ObjectStore, ObjectWriter } from '../storage/object-store';
import { storedJson } from '../storage/stored-json';
import { storeKeys } from '../storage/store-keys';
import { UploadIndex } from './upload-index';

export interface UploadLimits extends IndexLimits {
  fileBytesMax: number;
}

/** A chunk of long rows ends here, before it has its number of rows. */
export const CHUNK_BYTES_MAX = 8 * 1024 * 1024;

/** The index of a file has an entry for so many rows, of which chunks are made when a batch begins. */
const GRANULE_ROWS = 64;

/** The limits of `batch` in the configuration, as uploads need them. */
export function uploadLimits(batch: Omit<UploadLimits, 'chunkBytesMax'>): UploadLimits {
  const { chunkRows, rowsMax, rowBytesMax, fileBytesMax } = batch;
  return { chunkRows: Math.min(chunkRows, GRANULE_ROWS), chunkBytesMax: CHUNK_BYTES_MAX, rowsMax, rowBytesMax, fileBytesMax };
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
  private readonly hash = createHash('sha256');
  private readonly room: RoomCheck;

  private constructor(
    private readonly fileId: string,
    private readonly content: ObjectWriter,
    private readonly limits: UploadLimits,
    private readonly store: ObjectStore,
  ) {
    this.indexer = new UploadIndex(limits);
    this.room = new RoomCheck(store);
  }

  /** Rejects with `too_large` or `storage_full` when a file of at least so many bytes cannot be taken. */
  static async check(store: ObjectStore, limits: UploadLimits, bytesMin: number): Promise<void> {
    if (bytesMin > limits.fileBytesMax) throw tooLarge(limits);
    await checkRoom(store, bytesMin);
  }

  /** `bytesExpected`: what the sender announced, 0 when unknown; refused at once when it cannot fit. */
  static async begin(store: ObjectStore, limits: UploadLimits, bytesExpected: number, fileId = newFileId()): Promise<Upload> {
    await checkRoom(store, bytesExpected);
    return new Upload(fileId, await store.openWriter(storeKeys.file(fileId).content), limits, store);
  }

  get byteCount(): number {
    return this.indexer.byteCount;
  }

  /** Appends. Rejects with `too_large` or `storage_full`; the caller must then `discard`. */
  async write(part: Uint8Array): Promise<void> {
    if (this.indexer.byteCount + part.length > this.limits.fileBytesMax) throw tooLarge(this.limits);
    this.indexer.push(part);
    this.hash.update(part);
    await this.room.take(part.length);
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
      sha256: this.hash.digest('hex'),
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

import { InterleaveError, type UploadPartObject } from '@app/contracts';
import { idCreatedAtMs, newPartId } from '../manifests/ids';
import { RoomCheck } from '../storage/disk-guard';
import type { ObjectStore, ObjectWriter } from '../storage/object-store';
import { storeKeys } from '../storage/store-keys';

/** As OpenAI's, whose clients send parts of just this length. */
export const PART_BYTES_MAX = 64 * 1024 * 1024;

/**
 * One part of an upload that is being received: `write`, then `commit` or `discard`. It counts once its mark is there, which comes
 * last.
 */
export class PartWriter {
  private bytes = 0;
  private readonly room: RoomCheck;

  private constructor(
    private readonly store: ObjectStore,
    private readonly uploadId: string,
    private readonly partId: string,
    private readonly content: ObjectWriter,
    private readonly bytesMax: number,
  ) {
    this.room = new RoomCheck(store);
  }

  /** `bytesMax`: what the upload still takes. */
  static async begin(store: ObjectStore, uploadId: string, bytesMax: number): Promise<PartWriter> {
    const partId = newPartId();
    return new PartWriter(store, uploadId, partId, await store.openWriter(`${storeKeys.upload(uploadId).parts}${partId}`), bytesMax);
  }

  /** Appends. Rejects with `too_large` or `storage_full`; the caller must then `discard`. */
  async write(bytes: Uint8Array): Promise<void> {
    this.bytes += bytes.length;
    checkPartBytes(this.bytes, this.bytesMax);
    await this.room.take(bytes.length);
    await this.content.append(bytes);
  }

  /** Rejects with `invalid_request` for a part without bytes. */
  async commit(): Promise<UploadPartObject> {
    if (this.bytes === 0) throw new InterleaveError('invalid_request', 'data: expected bytes but the part is empty', { param: 'data' });
    await this.content.commit();
    await this.store.put(`${storeKeys.upload(this.uploadId).marks}${this.partId}.${this.bytes}`, new Uint8Array());
    return {
      id: this.partId,
      object: 'upload.part',
      created_at: Math.floor(idCreatedAtMs(this.partId) / 1000),
      upload_id: this.uploadId,
    };
  }

  discard(): Promise<void> {
    return this.content.discard();
  }
}

/** Throws `too_large`. `bytesMax`: what the upload still takes. */
export function checkPartBytes(byteCount: number, bytesMax: number): void {
  if (byteCount > PART_BYTES_MAX)
    throw new InterleaveError('too_large', `The part is longer than ${PART_BYTES_MAX} bytes; send it in several`, { param: 'data' });
  if (byteCount > bytesMax)
    throw new InterleaveError(
      'too_large',
      `The parts of this upload have more bytes together than were announced; begin an upload with the "bytes" of the file`,
      { param: 'data' },
    );
}

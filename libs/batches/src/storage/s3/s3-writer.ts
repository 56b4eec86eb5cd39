import {
  AbortMultipartUploadCommand,
  CompleteMultipartUploadCommand,
  CreateMultipartUploadCommand,
  UploadPartCommand,
  type CompletedPart,
  type S3Client,
} from '@aws-sdk/client-s3';
import { InterleaveError } from '@app/contracts';
import type { ObjectWriter } from '../object-store';
import { isConflict, isMissingObject, isRefusedCondition } from './s3-errors';

/** Of each part but the last; some stores want all of one length. */
export const PART_BYTES_DEFAULT = 8 * 1024 * 1024;
const PARTS_MAX = 10_000;

/** What a writer needs of its store. */
export interface WriterParts {
  client: S3Client;
  target: { Bucket: string; Key: string };
  /** Puts a short object in one request; false: `ifAbsent`, and there is one. */
  putWhole: (bytes: Buffer, ifAbsent: boolean) => Promise<boolean>;
  /** Length of the object; null: there is none. */
  length: () => Promise<number | null>;
  explain: (error: unknown) => unknown;
  partBytes: number;
}

/** Up to one part is one request; more are a multipart upload, which shows nothing before it is complete. Memory: one part. */
export class S3Writer implements ObjectWriter {
  private waiting: Uint8Array[] = [];
  private waitingBytes = 0;
  private writtenBytes = 0;
  private readonly parts: CompletedPart[] = [];
  private uploadId: string | null = null;

  constructor(private readonly store: WriterParts) {}

  async append(part: Uint8Array): Promise<void> {
    // A copy: the caller may use its buffer again.
    this.waiting.push(Uint8Array.prototype.slice.call(part));
    this.waitingBytes += part.length;
    this.writtenBytes += part.length;
    while (this.waitingBytes >= this.store.partBytes) await this.sendPart(this.store.partBytes);
  }

  async commit(): Promise<void> {
    await this.finish(false);
  }

  commitIfAbsent(): Promise<boolean> {
    return this.finish(true);
  }

  async discard(): Promise<void> {
    this.waiting = [];
    const { uploadId } = this;
    this.uploadId = null;
    if (uploadId === null) return;
    // What stays is removed by `sweep`.
    await this.store.client.send(new AbortMultipartUploadCommand({ ...this.store.target, UploadId: uploadId })).catch(() => undefined);
  }

  private async finish(ifAbsent: boolean): Promise<boolean> {
    if (this.uploadId === null) return this.store.putWhole(this.take(this.waitingBytes), ifAbsent);
    if (this.waitingBytes > 0) await this.sendPart(this.waitingBytes);
    try {
      await this.store.client.send(
        new CompleteMultipartUploadCommand({
          ...this.store.target,
          UploadId: this.uploadId,
          MultipartUpload: { Parts: this.parts },
          ...(ifAbsent ? { IfNoneMatch: '*' } : {}),
        }),
      );
    } catch (error) {
      return await this.afterRefusal(error, ifAbsent);
    }
    this.uploadId = null;
    return true;
  }

  private async afterRefusal(error: unknown, ifAbsent: boolean): Promise<boolean> {
    const isThere = async () => (await this.store.length()) === this.writtenBytes;
    if (ifAbsent && isRefusedCondition(error)) return false;
    if (ifAbsent && isConflict(error) && (await this.store.length()) !== null) return false;
    // The upload is not known any more: an attempt whose answer was lost has completed it, or somebody aborted it.
    if (isMissingObject(error) && (await isThere())) return !ifAbsent;
    throw this.store.explain(error);
  }

  private async sendPart(byteCount: number): Promise<void> {
    const number = this.parts.length + 1;
    if (number > PARTS_MAX)
      throw new InterleaveError(
        'too_large',
        `an object of the store has at most ${PARTS_MAX} parts of ${this.store.partBytes} bytes; split the file`,
      );
    try {
      this.uploadId ??= await this.begin();
      const { ETag: tag } = await this.store.client.send(
        new UploadPartCommand({ ...this.store.target, UploadId: this.uploadId, PartNumber: number, Body: this.take(byteCount) }),
      );
      this.parts.push({ PartNumber: number, ETag: tag });
    } catch (error) {
      throw this.store.explain(error);
    }
  }

  private async begin(): Promise<string> {
    const { UploadId: uploadId } = await this.store.client.send(new CreateMultipartUploadCommand(this.store.target));
    if (uploadId === undefined) throw new Error('the store began an upload without an id');
    return uploadId;
  }

  /** The first bytes that wait. */
  private take(byteCount: number): Buffer {
    const all = Buffer.concat(this.waiting);
    this.waiting = byteCount === all.length ? [] : [all.subarray(byteCount)];
    this.waitingBytes -= byteCount;
    return all.subarray(0, byteCount);
  }
}

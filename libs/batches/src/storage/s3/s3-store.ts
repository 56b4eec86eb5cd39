import { createHash } from 'node:crypto';
import { setTimeout as sleep } from 'node:timers/promises';
import type { Readable } from 'node:stream';
import {
  AbortMultipartUploadCommand,
  DeleteObjectCommand,
  DeleteObjectsCommand,
  GetObjectCommand,
  HeadObjectCommand,
  ListMultipartUploadsCommand,
  ListObjectsV2Command,
  PutObjectCommand,
  type S3Client,
} from '@aws-sdk/client-s3';
import { InterleaveError } from '@app/contracts';
import { checkKey, checkPrefix } from '../object-key';
import type { ByteRange, ObjectFacts, ObjectStore, ObjectWriter, StoredObject } from '../object-store';
import type { BucketLocation } from '@app/config';
import { explainS3Error, isConflict, isMissingObject, isRefusedCondition, statusOf, storageUnavailable, wasRetried } from './s3-errors';
import { storeKeys } from '../store-keys';
import { PART_BYTES_DEFAULT, S3Writer } from './s3-writer';

const GET_TRIES_MAX = 10;
const EQUAL_READS = 3;
const CONFLICT_TRIES_MAX = 8;
const CONFLICT_WAIT_MS = 20;
/** Of a list; beyond that something else than this program writes here. */
const PAGES_MAX = 10_000;
/** A read that breaks off goes on where it was, unless it breaks off so often without a byte in between. */
const READ_TRIES_MAX = 3;

export interface S3StoreOptions {
  partBytes?: number;
  /** Keys of one page of a list; default: as many as the store gives, 1000. */
  pageKeys?: number;
  /** Before the first write: rejects when the store lacks something. */
  prove?: () => Promise<void>;
}

const PLAIN_TAG = /^"[0-9a-f]{32}"$/;

interface Condition {
  IfMatch?: string;
  IfNoneMatch?: '*';
}

/**
 * A bucket of an S3-compatible store, below a prefix. Any number of nodes may have one over it. The version of an object is its
 * ETag. Conditional writes need `If-None-Match: *` and `If-Match` of the store: see `proveConditions`.
 */
export class S3Store implements ObjectStore {
  readonly kind = 'bucket';
  readonly address: string;
  private proof: Promise<void> | null = null;
  private trouble: string | null = null;
  /** Of objects that were put in one request. */
  private tagsAreHashes = true;

  constructor(
    private readonly client: S3Client,
    private readonly at: Pick<BucketLocation, 'bucket' | 'prefix'>,
    private readonly options: S3StoreOptions = {},
  ) {
    this.address = `s3://${at.bucket}/${at.prefix}`;
  }

  /** Done once; one that rejects is done again. */
  prove(): Promise<void> {
    this.proof ??= (this.options.prove ?? nothingToProve)().catch((error: unknown) => {
      this.proof = null;
      throw error;
    });
    return this.proof;
  }

  /** Reads again what does not fit its ETag: versitygw 1.8.0 gives the bytes of before with the ETag of after, while it replaces. */
  async get(key: string): Promise<StoredObject | null> {
    let before: StoredObject | null = null;
    let equalReads = 0;
    for (let attempt = 1; attempt <= GET_TRIES_MAX; attempt++) {
      const stored = await this.getOnce(key);
      if (stored === null || !this.tagsAreHashes || isOfItsTag(stored)) return stored;
      equalReads = before?.version === stored.version && before.bytes.equals(stored.bytes) ? equalReads + 1 : 0;
      // With some encryption an ETag is no hash of the bytes.
      if (equalReads === EQUAL_READS) this.tagsAreHashes = false;
      before = stored;
      await sleep(CONFLICT_WAIT_MS);
    }
    throw storageUnavailable(this.address, `${key} changes while it is read`);
  }

  async head(key: string): Promise<ObjectFacts | null> {
    return this.orNullIfMissing(async () => {
      const answer = await this.client.send(new HeadObjectCommand(this.target(key)));
      return { byteCount: answer.ContentLength ?? 0, modifiedMs: answer.LastModified?.getTime() ?? 0 };
    });
  }

  localPath(): null {
    return null;
  }

  async *read(key: string, { start, end }: ByteRange): AsyncGenerator<Buffer, void, void> {
    let position = start;
    for (let failures = 0; position < end;) {
      try {
        for await (const part of await this.openRange(key, `bytes=${position}-${end - 1}`)) {
          position += part.length;
          failures = 0;
          yield part;
        }
        if (position < end) throw storageUnavailable(this.address, `${key} ends at ${position} of ${end} bytes`);
      } catch (error) {
        const isFinal = statusOf(error) === 404 || statusOf(error) === 416;
        if (isFinal || ++failures === READ_TRIES_MAX) throw this.explain(error);
      }
    }
  }

  async readTail(key: string, byteCount: number): Promise<Buffer | null> {
    return this.orNullIfMissing(async () => {
      try {
        const answer = await this.client.send(new GetObjectCommand({ ...this.target(key), Range: `bytes=-${byteCount}` }));
        return Buffer.from((await answer.Body?.transformToByteArray()) ?? []).subarray(-byteCount);
      } catch (error) {
        if (statusOf(error) === 416) return Buffer.alloc(0);
        throw error;
      }
    });
  }

  async put(key: string, bytes: Uint8Array): Promise<void> {
    await this.prove();
    await this.explained(() => this.putObject(key, bytes, {}));
  }

  async putIfAbsent(key: string, bytes: Uint8Array): Promise<boolean> {
    return (await this.putOnCondition(key, bytes, { IfNoneMatch: '*' })) !== null;
  }

  putIfUnchanged(key: string, bytes: Uint8Array, version: string): Promise<string | null> {
    return this.putOnCondition(key, bytes, { IfMatch: version });
  }

  async openWriter(key: string): Promise<ObjectWriter> {
    await this.prove();
    return new S3Writer({
      client: this.client,
      target: this.target(key),
      putWhole: async (bytes, ifAbsent) => {
        if (ifAbsent) return this.putIfAbsent(key, bytes);
        await this.put(key, bytes);
        return true;
      },
      length: async () => (await this.head(key))?.byteCount ?? null,
      explain: (error) => this.explain(error),
      partBytes: this.options.partBytes ?? PART_BYTES_DEFAULT,
    });
  }

  async listNames(prefix: string): Promise<string[]> {
    checkPrefix(prefix);
    const names: string[] = [];
    for await (const page of this.pages(prefix, '/')) {
      for (const path of page) names.push(path.slice(prefix.length).replace(/\/$/, ''));
    }
    return names.filter((name) => name !== '').sort();
  }

  async delete(key: string): Promise<void> {
    await this.explained(() => this.client.send(new DeleteObjectCommand(this.target(key))));
  }

  async deleteAll(prefix: string): Promise<void> {
    checkPrefix(prefix);
    for await (const page of this.pages(prefix)) {
      if (page.length === 0) continue;
      const { Errors: errors = [] } = await this.explained(() =>
        this.client.send(
          new DeleteObjectsCommand({
            Bucket: this.at.bucket,
            Delete: { Quiet: true, Objects: page.map((key) => ({ Key: `${this.at.prefix}${key}` })) },
          }),
        ),
      );
      if (errors.length > 0)
        throw storageUnavailable(this.address, `${errors.length} objects were not deleted, ${errors[0]?.Code ?? 'unknown'}`);
    }
  }

  /** Uploads that nobody completed. */
  async sweep(olderThanMs: number): Promise<void> {
    await this.explained(async () => {
      let marker: { KeyMarker?: string | undefined; UploadIdMarker?: string | undefined } = {};
      for (let pages = 0; pages < PAGES_MAX; pages++) {
        const page = await this.client.send(new ListMultipartUploadsCommand({ Bucket: this.at.bucket, Prefix: this.at.prefix, ...marker }));
        for (const { Key, UploadId, Initiated } of page.Uploads ?? []) {
          if (Initiated === undefined || Date.now() - Initiated.getTime() <= olderThanMs) continue;
          await this.client.send(new AbortMultipartUploadCommand({ Bucket: this.at.bucket, Key, UploadId }));
        }
        if (page.IsTruncated !== true) return;
        marker = { KeyMarker: page.NextKeyMarker, UploadIdMarker: page.NextUploadIdMarker };
      }
    });
  }

  /** Why the last call that failed did; once one has, a small one is tried first: a read, as `head` does not see that the bucket is missing. */
  async refusal(): Promise<string | null> {
    if (this.trouble === null) return null;
    const failed = this.trouble;
    this.trouble = null;
    await this.get(storeKeys.trial).catch(() => (this.trouble ??= failed));
    return this.trouble;
  }

  private explain(error: unknown): unknown {
    const explained = explainS3Error(error, this.address);
    if (explained instanceof InterleaveError && explained.code === 'storage_unavailable') this.trouble = explained.message;
    return explained;
  }

  private async getOnce(key: string): Promise<StoredObject | null> {
    return this.orNullIfMissing(async () => {
      const answer = await this.client.send(new GetObjectCommand(this.target(key)));
      const bytes = Buffer.from((await answer.Body?.transformToByteArray()) ?? []);
      return { bytes, version: answer.ETag ?? '', modifiedMs: answer.LastModified?.getTime() ?? 0 };
    });
  }

  private target(key: string): { Bucket: string; Key: string } {
    checkKey(key);
    return { Bucket: this.at.bucket, Key: `${this.at.prefix}${key}` };
  }

  private async openRange(key: string, range: string): Promise<Readable> {
    const { Body: body } = await this.client.send(new GetObjectCommand({ ...this.target(key), Range: range }));
    if (body === undefined) throw storageUnavailable(this.address, `${key} has no bytes`);
    return body as Readable;
  }

  /** The ETag. */
  private async putObject(key: string, bytes: Uint8Array, condition: Condition): Promise<string> {
    const { ETag: tag } = await this.client.send(new PutObjectCommand({ ...this.target(key), Body: bytes, ...condition }));
    if (tag === undefined) throw storageUnavailable(this.address, 'it answers a write without an ETag');
    return tag;
  }

  /** The ETag; null: the condition does not hold. */
  private async putOnCondition(key: string, bytes: Uint8Array, condition: Condition): Promise<string | null> {
    await this.prove();
    for (let attempt = 1; ; attempt++) {
      try {
        return await this.putObject(key, bytes, condition);
      } catch (error) {
        if (isRefusedCondition(error)) return wasRetried(error) ? this.versionIfEqual(key, bytes) : null;
        if (isMissingObject(error)) return null;
        if (!isConflict(error) || attempt === CONFLICT_TRIES_MAX) throw this.explain(error);
      }
      await sleep(Math.random() * CONFLICT_WAIT_MS * 2 ** attempt);
    }
  }

  /** After an attempt whose answer was lost: what is there may be of that attempt. */
  private async versionIfEqual(key: string, bytes: Uint8Array): Promise<string | null> {
    const stored = await this.get(key);
    return stored?.bytes.equals(bytes) === true ? stored.version : null;
  }

  /** The keys of a list, without the prefix of the store; with `delimiter`, folders too. */
  private async *pages(prefix: string, delimiter?: string): AsyncGenerator<string[], void, void> {
    let token: string | undefined;
    for (let pages = 0; pages < PAGES_MAX; pages++) {
      const page = await this.explained(() =>
        this.client.send(
          new ListObjectsV2Command({
            Bucket: this.at.bucket,
            Prefix: `${this.at.prefix}${prefix}`,
            ...(this.options.pageKeys === undefined ? {} : { MaxKeys: this.options.pageKeys }),
            ...(delimiter === undefined ? {} : { Delimiter: delimiter }),
            ...(token === undefined ? {} : { ContinuationToken: token }),
          }),
        ),
      );
      const keys = (page.Contents ?? []).map(({ Key }) => Key ?? '');
      const folders = (page.CommonPrefixes ?? []).map(({ Prefix }) => Prefix ?? '');
      yield [...keys, ...folders].map((key) => key.slice(this.at.prefix.length));
      if (page.IsTruncated !== true) return;
      token = page.NextContinuationToken;
    }
    throw storageUnavailable(this.address, `a list below ${prefix} has more than ${PAGES_MAX} pages`);
  }

  private async orNullIfMissing<T>(work: () => Promise<T>): Promise<T | null> {
    try {
      return await work();
    } catch (error) {
      if (isMissingObject(error)) return null;
      throw this.explain(error);
    }
  }

  private async explained<T>(work: () => Promise<T>): Promise<T> {
    try {
      return await work();
    } catch (error) {
      throw this.explain(error);
    }
  }
}

/** ETags of multipart uploads are other hashes. */
function isOfItsTag({ bytes, version }: StoredObject): boolean {
  return !PLAIN_TAG.test(version) || version === `"${createHash('md5').update(bytes).digest('hex')}"`;
}

const nothingToProve = (): Promise<void> => Promise.resolve();

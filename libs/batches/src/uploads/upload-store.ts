import { createHash, type Hash } from 'node:crypto';
import { InterleaveError, type UploadObject } from '@app/contracts';
import type { FileStore } from '../files/file-store';
import { nowSeconds } from '../files/file-record';
import type { Upload } from '../files/upload';
import { idCreatedAtMs, isUploadId, newFileId, newUploadId } from '../manifests/ids';
import { checkRoom } from '../storage/disk-guard';
import type { ObjectStore } from '../storage/object-store';
import type { Sees } from '../storage/owner';
import { storedJson } from '../storage/stored-json';
import { storeKeys } from '../storage/store-keys';
import { checkPartBytes, PART_BYTES_MAX, PartWriter } from './part-writer';
import {
  expiresAtMs,
  readParts,
  readUploadEnd,
  readUploadRecord,
  statusOf,
  toUploadObject,
  type UploadEnd,
  type UploadRecord,
  type UploadState,
} from './upload-record';

export const PARTS_MAX = 10_000;
/** Parts that were sent again because their answer was lost: so much beyond the announced length. */
const RESENT_BYTES_MAX = 4 * PART_BYTES_MAX;
/** Uploads that are known at one moment, with those that ended less than two hours ago. */
const UPLOADS_MAX = 10_000;
/** What expired this long ago is used by no call any more. */
const SWEPT_AFTER_MS = 60 * 60 * 1000;

export interface NewUpload {
  bytes: number;
  filename: string;
  tenant: string;
  /** Of the file, from its completion; null: kept until deleted. */
  expiresAfterSeconds: number | null;
}

export interface Completion {
  partIds: readonly string[];
  /** Hexadecimal; null: not checked. */
  md5: string | null;
}

/**
 * Files that come in parts (OpenAI's uploads). Any number of processes may have one over the same store, and each call may be killed
 * and done again. On disk there are at most the parts and one copy of them.
 *
 * | state | what is there | left by |
 * |---|---|---|
 * | pending | record, parts with marks | `complete` puts the end → completing; `cancel` puts the end → cancelled; an hour without a part → expired |
 * | completing | end `completed`, parts, no file | file, then its record → completed; killed: `complete` asked again does it |
 * | completed | end `completed`, file | – (parts go; the rest two hours after the last part: `sweep`) |
 * | cancelled, expired | no file | – (as above) |
 */
export class UploadStore {
  /** Completions of this process that run, by upload. */
  private readonly completing = new Map<string, { request: string; done: Promise<UploadObject> }>();

  constructor(
    private readonly store: ObjectStore,
    private readonly files: FileStore,
  ) {}

  /** Rejects with `too_large`, with `overloaded` where there are too many, and with `storage_full` unless parts and file have room. */
  async create({ bytes, filename, tenant, expiresAfterSeconds }: NewUpload): Promise<UploadObject> {
    await this.files.checkAnnounced(bytes);
    await checkRoom(this.store, 2 * bytes);
    if ((await this.listIds()).length >= UPLOADS_MAX)
      throw new InterleaveError('overloaded', `There are ${UPLOADS_MAX} uploads, the most there may be; try again in an hour`, {
        retryAfterSeconds: 3600,
      });
    const record: UploadRecord = {
      formatVersion: 1,
      id: newUploadId(),
      tenant,
      filename,
      bytes,
      createdAt: nowSeconds(),
      fileId: newFileId(),
      fileExpiresAfterSeconds: expiresAfterSeconds,
    };
    await this.store.put(storeKeys.upload(record.id).record, storedJson(record));
    return toUploadObject({ record, end: null, parts: new Map(), file: null });
  }

  /** Throws `not_found`. */
  async get(uploadId: string, sees: Sees): Promise<UploadObject> {
    return toUploadObject(await this.read(uploadId, sees));
  }

  /**
   * `bytesMin`: what the part has at least. Rejects with `not_found`, `conflict` for an upload that is over, `too_large`,
   * `storage_full`.
   */
  async addPart(uploadId: string, bytesMin: number, sees: Sees): Promise<PartWriter> {
    const state = await this.read(uploadId, sees);
    requireOpen(state);
    const { record, parts } = state;
    if (parts.size >= PARTS_MAX)
      throw new InterleaveError('too_large', `The upload has ${PARTS_MAX} parts, the most there may be; send longer ones`, {
        param: 'data',
      });
    const bytesMax = record.bytes + RESENT_BYTES_MAX - sum(parts.values());
    checkPartBytes(bytesMin, Math.min(record.bytes, bytesMax));
    await checkRoom(this.store, bytesMin);
    return PartWriter.begin(this.store, uploadId, Math.min(record.bytes, bytesMax));
  }

  /**
   * Makes the file of these parts, in this order. Asked again with the same parts, after a kill or a lost answer, it gives the same
   * file. Rejects with `invalid_request` for parts that are not there, a length other than announced or another MD5, with `conflict` for an
   * upload that is over or is completed with other parts, and as `Upload`; the upload then stays as it was.
   */
  async complete(uploadId: string, completion: Completion, sees: Sees): Promise<UploadObject> {
    const { record } = await this.read(uploadId, sees);
    const request = JSON.stringify(completion);
    const running = this.completing.get(record.id);
    if (running !== undefined) {
      if (running.request === request) return running.done;
      throw new InterleaveError('conflict', `Upload ${record.id} is being completed; wait for that`, { param: 'upload_id' });
    }
    const done = this.makeFile(record.id, completion, sees).finally(() => this.completing.delete(record.id));
    this.completing.set(record.id, { request, done });
    return done;
  }

  /** Throws `conflict` for an upload that is completed. Asking twice is no error. */
  async cancel(uploadId: string, sees: Sees): Promise<UploadObject> {
    const state = await this.read(uploadId, sees);
    const end = await this.end(state.record.id, { formatVersion: 1, outcome: 'cancelled', partIds: [] });
    if (end.outcome !== 'cancelled')
      throw new InterleaveError('conflict', `Upload ${uploadId} is completed; delete its file ${state.record.fileId} instead`, {
        param: 'upload_id',
      });
    await this.removeParts(state.record.id);
    return toUploadObject({ ...state, end, parts: new Map() });
  }

  /** What the pending uploads of a tenant have announced. */
  async pendingBytes(tenant: string): Promise<number> {
    let bytes = 0;
    for (const id of await this.listIds()) {
      const record = await readUploadRecord(this.store, id).catch(() => null);
      if (record?.tenant === tenant && statusOf(await this.stateOf(record)) === 'pending') bytes += record.bytes;
    }
    return bytes;
  }

  /** Removes uploads that are long over, and the parts of those that are completed or cancelled. */
  async sweep(): Promise<void> {
    for (const id of await this.listIds()) {
      // One that another release wrote must not keep the others from going.
      const record = await readUploadRecord(this.store, id).catch(() => undefined);
      if (record === undefined) continue;
      const state = record === null ? null : await this.stateOf(record);
      const overMs = state === null ? idCreatedAtMs(id) : expiresAtMs(state);
      if (Date.now() - overMs > SWEPT_AFTER_MS) await this.store.deleteAll(storeKeys.upload(id).prefix);
      else if (state !== null && ['completed', 'cancelled'].includes(statusOf(state))) await this.removeParts(id);
    }
  }

  private async listIds(): Promise<string[]> {
    return (await this.store.listNames(storeKeys.uploads)).filter(isUploadId);
  }

  private async read(uploadId: string, sees: Sees): Promise<UploadState> {
    const record = isUploadId(uploadId) ? await readUploadRecord(this.store, uploadId) : null;
    if (record === null || !sees(record.tenant))
      throw new InterleaveError('not_found', `No upload with id ${JSON.stringify(uploadId.slice(0, 64))}; it may have expired`, {
        param: 'upload_id',
      });
    return this.stateOf(record);
  }

  private async stateOf(record: UploadRecord): Promise<UploadState> {
    // The file last: its parts go after it has come.
    const [end, parts] = await Promise.all([readUploadEnd(this.store, record.id), readParts(this.store, record.id)]);
    return { record, end, parts, file: end === null ? null : await this.files.find(record.fileId) };
  }

  private async makeFile(uploadId: string, completion: Completion, sees: Sees): Promise<UploadObject> {
    const state = await this.read(uploadId, sees);
    if (state.end !== null) requireSameEnd(state.record.id, state.end, completion.partIds);
    if (statusOf(state) === 'completed') return this.completed(state);
    if (state.end === null) requireOpen(state);
    checkParts(state, completion.partIds);
    const upload = await this.files.beginUpload(state.record.bytes, state.record.fileId);
    try {
      await this.copyParts(state, completion, upload);
      requireSameEnd(
        uploadId,
        await this.end(uploadId, { formatVersion: 1, outcome: 'completed', partIds: completion.partIds }),
        completion.partIds,
      );
      const { filename, tenant, fileExpiresAfterSeconds: expiresAfterSeconds } = state.record;
      await upload.commit({ filename, purpose: 'batch', tenant, expiresAfterSeconds });
    } catch (error) {
      await upload.discard();
      return this.afterFailure(error, await this.read(uploadId, sees), completion);
    }
    return this.completed(await this.read(uploadId, sees));
  }

  /** Parts vanish under a completion where another node has completed the upload, or somebody has cancelled it. */
  private async afterFailure(error: unknown, state: UploadState, { partIds }: Completion): Promise<UploadObject> {
    if (state.end !== null) requireSameEnd(state.record.id, state.end, partIds);
    if (statusOf(state) === 'completed') return this.completed(state);
    throw error;
  }

  private async copyParts({ record, parts }: UploadState, { partIds, md5 }: Completion, upload: Upload): Promise<void> {
    const hash = md5 === null ? null : createHash('md5');
    for (const id of partIds) {
      for await (const bytes of this.store.read(`${storeKeys.upload(record.id).parts}${id}`, { start: 0, end: parts.get(id) ?? 0 })) {
        hash?.update(bytes);
        await upload.write(bytes);
      }
    }
    if (hash !== null) checkMd5(hash, md5);
  }

  /** The parts go once the file is there. */
  private async completed(state: UploadState): Promise<UploadObject> {
    await this.removeParts(state.record.id);
    return toUploadObject({ ...state, parts: new Map() });
  }

  /** How it ended: like this, unless it had already. */
  private async end(uploadId: string, end: UploadEnd): Promise<UploadEnd> {
    if (await this.store.putIfAbsent(storeKeys.upload(uploadId).end, storedJson(end))) return end;
    return (await readUploadEnd(this.store, uploadId)) ?? end;
  }

  /** Marks first: without them an upload whose file was deleted is not taken for one that is still to be completed. */
  private async removeParts(uploadId: string): Promise<void> {
    const keys = storeKeys.upload(uploadId);
    await this.store.deleteAll(keys.marks);
    await this.store.deleteAll(keys.parts);
  }
}

function requireOpen(state: UploadState): void {
  const status = state.end?.outcome ?? statusOf(state);
  if (status === 'pending') return;
  throw new InterleaveError('conflict', `Upload ${state.record.id} is ${status}; begin a new one`, { param: 'upload_id' });
}

function requireSameEnd(uploadId: string, end: UploadEnd, partIds: readonly string[]): void {
  if (end.outcome === 'cancelled')
    throw new InterleaveError('conflict', `Upload ${uploadId} is cancelled; begin a new one`, { param: 'upload_id' });
  if (end.partIds.length === partIds.length && end.partIds.every((id, at) => id === partIds[at])) return;
  throw new InterleaveError('conflict', `Upload ${uploadId} was completed with other parts; begin a new one`, { param: 'part_ids' });
}

function checkParts({ record, parts }: UploadState, partIds: readonly string[]): void {
  const unknown = partIds.find((id) => !parts.has(id));
  if (unknown !== undefined) throw badParts(`upload ${record.id} has no part ${JSON.stringify(unknown.slice(0, 64))}; send it first`);
  if (new Set(partIds).size < partIds.length) throw badParts('a part is named twice');
  const bytes = sum(partIds.map((id) => parts.get(id) ?? 0));
  if (bytes !== record.bytes)
    throw badParts(`expected parts of ${record.bytes} bytes together, as announced, but these have ${bytes}; send what is missing`);
}

const badParts = (reason: string): InterleaveError => new InterleaveError('invalid_request', `part_ids: ${reason}`, { param: 'part_ids' });

function checkMd5(hash: Hash, expected: string | null): void {
  const received = hash.digest('hex');
  if (received === expected?.toLowerCase()) return;
  throw new InterleaveError('invalid_request', `md5: expected ${expected} but the parts have ${received}; send them again`, {
    param: 'md5',
  });
}

function sum(values: Iterable<number>): number {
  let total = 0;
  for (const value of values) total += value;
  return total;
}

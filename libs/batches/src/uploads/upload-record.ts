import type { UploadObject } from '@app/contracts';
import { idCreatedAtMs, isPartId } from '../manifests/ids';
import { toFileObject, type FileRecord } from '../files/file-record';
import type { ObjectStore } from '../storage/object-store';
import { readStored } from '../storage/stored-json';
import { storeKeys } from '../storage/store-keys';

const FORMATS = [1] as const;
/** From its creation and from its last part. */
const LIFE_MS = 60 * 60 * 1000;
const MARK = /^(part_[a-z0-9]+)\.(\d{1,15})$/;

/** `upload.json`: what was announced. It never changes. Times are Unix seconds. */
export interface UploadRecord {
  formatVersion: 1;
  id: string;
  tenant: string;
  filename: string;
  bytes: number;
  createdAt: number;
  /** Reserved, so that a completion that is done again makes the same file. */
  fileId: string;
  /** Of the file, from its completion; null: kept until deleted. */
  fileExpiresAfterSeconds: number | null;
}

/** `end.json`: the first one that is put counts, for good. */
export interface UploadEnd {
  formatVersion: 1;
  outcome: 'completed' | 'cancelled';
  /** What it is completed with, in this order. */
  partIds: readonly string[];
}

/** An upload as it is now. `parts`: bytes by id, oldest first; none once it has ended and they are removed. */
export interface UploadState {
  record: UploadRecord;
  end: UploadEnd | null;
  parts: ReadonlyMap<string, number>;
  file: FileRecord | null;
}

/** Null: there is no such upload. */
export async function readUploadRecord(store: ObjectStore, uploadId: string): Promise<UploadRecord | null> {
  return (await readStored<UploadRecord>(store, storeKeys.upload(uploadId).record, FORMATS))?.record ?? null;
}

export async function readUploadEnd(store: ObjectStore, uploadId: string): Promise<UploadEnd | null> {
  return (await readStored<UploadEnd>(store, storeKeys.upload(uploadId).end, FORMATS))?.record ?? null;
}

/** Bytes of the parts that are whole, by id, oldest first. */
export async function readParts(store: ObjectStore, uploadId: string): Promise<Map<string, number>> {
  const parts = new Map<string, number>();
  for (const name of await store.listNames(storeKeys.upload(uploadId).marks)) {
    const [, id = '', bytes] = MARK.exec(name) ?? [];
    if (isPartId(id)) parts.set(id, Number(bytes));
  }
  return parts;
}

/** Unix milliseconds: an hour after its last part. */
export function expiresAtMs({ record, parts }: Pick<UploadState, 'record' | 'parts'>): number {
  const last = [...parts.keys()].at(-1);
  return Math.max(record.createdAt * 1000, last === undefined ? 0 : idCreatedAtMs(last)) + LIFE_MS;
}

/** `completed` only once the file is there: whoever was told nothing may ask again, and the file is made. */
export function statusOf(state: UploadState): UploadObject['status'] {
  const { end, parts, file } = state;
  if (end?.outcome === 'cancelled') return 'cancelled';
  if (end !== null && (file !== null || parts.size === 0)) return 'completed';
  return end === null && Date.now() > expiresAtMs(state) ? 'expired' : 'pending';
}

export function toUploadObject(state: UploadState): UploadObject {
  const { record, file, parts } = state;
  const status = statusOf(state);
  return {
    id: record.id,
    object: 'upload',
    bytes: record.bytes,
    created_at: record.createdAt,
    expires_at: Math.floor(expiresAtMs(state) / 1000),
    filename: record.filename,
    purpose: 'batch',
    status,
    file: status === 'completed' && file !== null ? toFileObject(file) : null,
    ...(status === 'pending' ? { interleave: { parts: [...parts].map(([id, bytes]) => ({ id, bytes })) } } : {}),
  };
}

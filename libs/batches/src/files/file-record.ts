import { DEFAULT_TENANT, type FileObject, type FilePurpose } from '@app/contracts';
import type { ChunkPart } from '../results/chunk-results';
import type { ObjectStore } from '../storage/object-store';
import { readStored } from '../storage/stored-json';
import { storeKeys } from '../storage/store-keys';

const FORMATS = [1, 2] as const;

/** `file.json`: what is known about a stored file besides its bytes. Times are Unix seconds. */
export interface FileRecord {
  /** 2 for a file with a `source`, which releases before it cannot read. */
  formatVersion: 1 | 2;
  id: string;
  bytes: number;
  rows: number;
  createdAt: number;
  /** Null: kept until deleted. */
  expiresAt: number | null;
  filename: string;
  purpose: FilePurpose;
  /** Whose it is. Those of before there were tenants do not say so, and are read as `DEFAULT_TENANT`'s. */
  tenant: string;
  /** Of its bytes, hexadecimal; absent for outputs, and for files of former releases. */
  sha256?: string;
  /** The file has no bytes of its own: they are those of the results of a batch. */
  source?: { batchId: string; part: ChunkPart };
}

/** The record as clients see it. */
export function toFileObject(record: FileRecord): FileObject {
  return {
    id: record.id,
    object: 'file',
    bytes: record.bytes,
    created_at: record.createdAt,
    ...(record.expiresAt === null ? {} : { expires_at: record.expiresAt }),
    filename: record.filename,
    purpose: record.purpose,
    status: 'processed',
    ...(record.sha256 === undefined ? {} : { interleave: { sha256: record.sha256 } }),
  };
}

export async function readFileRecord(store: ObjectStore, fileId: string): Promise<FileRecord | null> {
  const stored = await readStored<FileRecord>(store, storeKeys.file(fileId).record, FORMATS);
  return stored === null ? null : { ...stored.record, tenant: stored.record.tenant ?? DEFAULT_TENANT };
}

export const nowSeconds = (): number => Math.floor(Date.now() / 1000);

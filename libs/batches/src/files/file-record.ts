import { DEFAULT_TENANT, type FileObject, type FilePurpose } from '@app/contracts';
import { readStored } from '../storage/stored-json';
import type { filePaths } from '../storage/storage-paths';

/** `file.json`: what is known about a stored file besides its bytes. Times are Unix seconds. */
export interface FileRecord {
  formatVersion: 1;
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
  };
}

export async function readFileRecord(paths: ReturnType<typeof filePaths>): Promise<FileRecord | null> {
  const record = await readStored<FileRecord>(paths.record, 1);
  return record === null ? null : { ...record, tenant: record.tenant ?? DEFAULT_TENANT };
}

export const nowSeconds = (): number => Math.floor(Date.now() / 1000);

import { readFile } from 'node:fs/promises';
import type { FileObject, FilePurpose } from '@app/contracts';
import { orNullIfMissing } from '../storage/durable';
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
  const text = await orNullIfMissing(readFile(paths.record, 'utf8'));
  return text === null ? null : (JSON.parse(text) as FileRecord);
}

export const nowSeconds = (): number => Math.floor(Date.now() / 1000);

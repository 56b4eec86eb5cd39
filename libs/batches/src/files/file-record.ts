import { DEFAULT_TENANT, type FileObject, type FilePurpose } from '@app/contracts';
import type { ChunkPart } from '../results/chunk-results';
import type { OutputFormat } from '../manifests/table-io';
import type { BinaryKind } from './file-format';
import type { ObjectStore } from '../storage/object-store';
import { readStored } from '../storage/stored-json';
import { storeKeys } from '../storage/store-keys';

const FORMATS = [1, 2, 3] as const;

/** `file.json`: what is known about a stored file besides its bytes. Times are Unix seconds. */
export interface FileRecord {
  /** 2 for a file with a `source`, 3 for one that is `binary` or a `table`, which releases before them cannot read. */
  formatVersion: 1 | 2 | 3;
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
  /** Its bytes are no lines, and it has no line index; `rows` is 0. */
  binary?: BinaryKind;
  /** An output with bytes of its own, although it has a `source`. */
  table?: Exclude<OutputFormat, 'jsonl'>;
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

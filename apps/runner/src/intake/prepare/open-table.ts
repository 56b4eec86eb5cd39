import { open, mkdtemp, realpath, rm, type FileHandle } from 'node:fs/promises';
import { createWriteStream } from 'node:fs';
import { join, sep } from 'node:path';
import { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { fileURLToPath } from 'node:url';
import { binaryKind, HEAD_BYTES, type BinaryKind, type Manifest, type ObjectStore } from '@app/batches';
import { byteText } from '@app/contracts';
import type { RunnerContext } from '../../runner-context';
import { BadTable } from '../../tables/table-task';
import type { TableSettings } from '../../tables/table-settings';
import { PrepareFault } from './source';

/** The input of a batch as a file of this machine, open for reading. */
export interface OpenTable {
  fd: number;
  /** By its first bytes; null: lines. */
  binary: BinaryKind | null;
  /** Throws `BadTable` when it was written to since it was opened. */
  checkUnchanged(): Promise<void>;
  close(): Promise<void>;
}

/** Throws `PrepareFault` when it is not there or may not be read. */
export async function openTable({ store, files, tables }: RunnerContext, { batch, input }: Manifest): Promise<OpenTable> {
  const uri = input?.uri ?? null;
  if (uri !== null) {
    if (uri.startsWith('s3:')) {
      // Only then: it needs the AWS SDK, which takes long to load.
      const { readBucketObject } = await import('./bucket-object');
      return copied(tables, readBucketObject(tables, uri));
    }
    return opened(await allowedPath(uri, tables.inputRoots), nothing, tables.limits.fileBytesMax);
  }
  const record = batch.input_file_id === null ? null : await files.find(batch.input_file_id);
  const key = record === null ? null : files.contentKey(record.id);
  if (record === null || key === null || (await store.head(key)) === null) throw gone('input_file_id', 'The input file is gone.');
  const path = store.localPath(key);
  return path === null ? copied(tables, wholeObject(store, key, record.bytes)) : opened(path, nothing);
}

const nothing = (): Promise<void> => Promise.resolve();

function wholeObject(store: ObjectStore, key: string, bytes: number): AsyncIterable<Uint8Array> {
  return store.read(key, { start: 0, end: bytes });
}

/** The file itself, whatever links lead to it. */
async function allowedPath(uri: string, roots: readonly string[]): Promise<string> {
  const path = await realpath(fileURLToPath(uri)).catch(() => null);
  if (path === null) throw gone('input.uri', `There is no file ${uri} on the node that works on the batch.`);
  for (const root of roots) {
    const real = await realpath(root).catch(() => null);
    if (real !== null && path.startsWith(real.endsWith(sep) ? real : `${real}${sep}`)) return path;
  }
  throw gone('input.uri', `${uri} is not below a folder of batch.inputRoots.`);
}

async function copied(tables: TableSettings, bytes: AsyncIterable<Uint8Array>): Promise<OpenTable> {
  const folder = await mkdtemp(join(tables.scratchDir, 'input-'));
  const remove = (): Promise<void> => rm(folder, { recursive: true, force: true });
  try {
    const path = join(folder, 'content');
    await pipeline(Readable.from(limited(bytes, tables.limits.fileBytesMax)), createWriteStream(path, { mode: 0o600 }));
    return await opened(path, remove);
  } catch (error) {
    await remove();
    throw error;
  }
}

async function* limited(bytes: AsyncIterable<Uint8Array>, bytesMax: number): AsyncGenerator<Uint8Array, void, void> {
  let total = 0;
  for await (const part of bytes) {
    total += part.length;
    if (total > bytesMax) throw tooLarge(bytesMax);
    yield part;
  }
}

async function opened(path: string, onClosed: () => Promise<void>, bytesMax = Infinity): Promise<OpenTable> {
  const file = await open(path, 'r');
  try {
    const before = await facts(file);
    if (!before.isFile) throw gone('input.uri', 'The input is no file.');
    if (before.bytes > bytesMax) throw tooLarge(bytesMax);
    const { buffer, bytesRead } = await file.read(Buffer.alloc(HEAD_BYTES), 0, HEAD_BYTES, 0);
    return {
      fd: file.fd,
      binary: binaryKind(buffer.subarray(0, bytesRead)),
      checkUnchanged: async () => {
        const after = await facts(file);
        if (after.bytes === before.bytes && after.modified === before.modified) return;
        throw new BadTable('The input was written to while it was read; submit the batch again once it is whole.');
      },
      close: async () => {
        await file.close();
        await onClosed();
      },
    };
  } catch (error) {
    await file.close();
    throw error;
  }
}

async function facts(file: FileHandle): Promise<{ isFile: boolean; bytes: number; modified: bigint }> {
  const stat = await file.stat({ bigint: true });
  return { isFile: stat.isFile(), bytes: Number(stat.size), modified: stat.mtimeNs };
}

const tooLarge = (bytesMax: number): BadTable =>
  new BadTable(`The input is longer than ${byteText(bytesMax)}; split it or raise batch.fileBytesMax.`);

function gone(param: string, message: string): PrepareFault {
  return new PrepareFault([{ code: 'file_not_found', message, param, line: null }]);
}

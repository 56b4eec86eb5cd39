import { closeSync, fsyncSync, mkdirSync, openSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { tryKernelLock } from '@app/system';
import { KEY_FORMAT_VERSION, keyFile, type KeyRecord } from './key-record';

const LOCK_RETRY_MS = 20;
const LOCK_MS_MAX = 10_000;

/** A key file that cannot be used; the message says why and what to do. */
export class KeyFileError extends Error {
  override readonly name = 'KeyFileError';
}

export const keyFilePath = (dataDir: string): string => join(dataDir, 'keys.json');

/** A file that is there once a process of the node has seen keys: one that starts later must miss them too. */
export const keysSeenPath = (runDir: string): string => join(runDir, 'keys.seen');

/**
 * The keys in the file at `path`; null where there is no such file. Share and weight are the tenant's: those of its last key
 * hold for all. Throws a `KeyFileError` for one that cannot be used.
 */
export function readKeyFile(path: string): KeyRecord[] | null {
  const text = readText(path);
  if (text === null) return null;
  const content = parseJson(text, path);
  const { formatVersion } = (content ?? {}) as { formatVersion?: unknown };
  if (formatVersion !== KEY_FORMAT_VERSION)
    throw new KeyFileError(
      `${path}: expected formatVersion ${KEY_FORMAT_VERSION} but received ${JSON.stringify(formatVersion) ?? 'none'}; ` +
        'use the version of Interleave that wrote the file, or put back a copy of it',
    );
  const result = keyFile.safeParse(content);
  if (result.success) return withSharesOfTenants(result.data.keys);
  const [issue] = result.error.issues;
  throw new KeyFileError(`${path}: ${issue?.path.join('.') ?? ''}: ${issue?.message ?? ''}; put back a copy of the file`);
}

/**
 * Changes the keys in the file at `path`, which need not exist: one change at a time, and readers see the old file or the new
 * one, never a part. When it resolves, the change survives a power cut. Throws a `KeyFileError`.
 */
export async function changeKeys(path: string, change: (keys: KeyRecord[]) => KeyRecord[]): Promise<void> {
  makeFolder(dirname(path));
  const lock = await takeLock(path);
  try {
    const keys = change(readKeyFile(path) ?? []);
    replace(path, JSON.stringify(keyFile.parse({ formatVersion: KEY_FORMAT_VERSION, keys }), null, 2));
  } finally {
    lock.close();
  }
}

function withSharesOfTenants(keys: KeyRecord[]): KeyRecord[] {
  const last = new Map(keys.map(({ tenant, shareMsPerSecond, weight }) => [tenant, { shareMsPerSecond, weight }]));
  return keys.map((key) => ({ ...key, ...last.get(key.tenant) }));
}

function makeFolder(path: string): void {
  try {
    mkdirSync(path, { recursive: true, mode: 0o700 });
  } catch (error) {
    throw new KeyFileError(`DATA_DIR ${path} cannot be made: ${(error as Error).message}`);
  }
}

async function takeLock(path: string): Promise<{ close(): void }> {
  for (const untilMs = performance.now() + LOCK_MS_MAX; performance.now() < untilMs; await sleep(LOCK_RETRY_MS)) {
    const lock = await tryKernelLock('keys', path);
    if (lock !== null) return lock;
  }
  throw new KeyFileError(`${path}: another command has been changing it for ${LOCK_MS_MAX / 1000} s; end that one and try again`);
}

function replace(path: string, text: string): void {
  const temporary = `${path}.${process.pid}.tmp`;
  try {
    writeSynced(temporary, text);
    renameSync(temporary, path);
  } catch (error) {
    rmSync(temporary, { force: true });
    throw new KeyFileError(`${path}: cannot be written: ${(error as Error).message}`);
  }
  syncFolder(dirname(path));
}

function writeSynced(path: string, text: string): void {
  // One that a killed command left may be readable by others.
  rmSync(path, { force: true });
  const file = openSync(path, 'wx', 0o600);
  try {
    writeFileSync(file, text);
    fsyncSync(file);
  } finally {
    closeSync(file);
  }
}

function syncFolder(path: string): void {
  const folder = openSync(path, 'r');
  try {
    fsyncSync(folder);
  } finally {
    closeSync(folder);
  }
}

function readText(path: string): string | null {
  try {
    return readFileSync(path, 'utf8');
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return null;
    throw new KeyFileError(`${path}: cannot be read: ${(error as Error).message}`);
  }
}

function parseJson(text: string, path: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    // The parser's own message shows parts of the file.
    throw new KeyFileError(`${path}: expected JSON but the file is damaged; put back a copy of it`);
  }
}

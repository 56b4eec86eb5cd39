import { createHash, randomBytes } from 'node:crypto';
import { link, mkdir, open, readdir, readFile, rename, rm, stat, type FileHandle } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { tryKernelLock } from '@app/system';
import { DiskGuard, explainWriteError, type FreeBytes } from './disk-guard';
import { isMissing, orNullIfMissing, syncDirectory, TEMPORARY_SUFFIX } from './durable';
import { readLocalFile } from './local-reader';
import { checkKey, checkPrefix } from './object-key';
import type { ByteRange, ObjectFacts, ObjectStore, ObjectWriter, StoredObject } from './object-store';

const LOCK_RETRY_MS = 3;
const LOCK_WAIT_MS_MAX = 30_000;
/** A folder that is removed while something is put into it is made again so many times. */
const PLACE_TRIES_MAX = 5;

export interface LocalStoreOptions {
  /** Kept free on the disk. */
  freeBytesMin?: number;
  measure?: FreeBytes;
}

/**
 * A directory of one node; several processes of that node may have one over it. What is written is staged in `tmp`, synced,
 * and gets its name by one rename or link, so readers see all of it or nothing, whatever is killed. `putIfUnchanged` holds a
 * lock of the kernel, which counts within one machine: two machines must not share such a directory, over NFS for example.
 * The version of an object is the hash of its bytes, as with S3: who writes equal bytes again changes nothing.
 */
export class LocalStore implements ObjectStore {
  readonly kind = 'directory';
  readonly address: string;
  private readonly disk: DiskGuard;
  private readonly staging: string;

  constructor(
    private readonly root: string,
    { freeBytesMin = 0, measure }: LocalStoreOptions = {},
  ) {
    this.disk = new DiskGuard(root, freeBytesMin, measure);
    this.staging = join(root, 'tmp');
    this.address = root;
  }

  async get(key: string): Promise<StoredObject | null> {
    const file = await orNullIfMissing(open(this.path(key), 'r'));
    if (file === null) return null;
    try {
      const [bytes, { mtimeMs }] = [await file.readFile(), await file.stat()];
      return { bytes, version: versionOf(bytes), modifiedMs: mtimeMs };
    } finally {
      await file.close();
    }
  }

  async head(key: string): Promise<ObjectFacts | null> {
    const facts = await orNullIfMissing(stat(this.path(key)));
    return facts?.isFile() === true ? { byteCount: facts.size, modifiedMs: facts.mtimeMs } : null;
  }

  localPath(key: string): string {
    return this.path(key);
  }

  read(key: string, range: ByteRange): AsyncIterable<Buffer> {
    return readLocalFile(this.path(key), range);
  }

  async readTail(key: string, byteCount: number): Promise<Buffer | null> {
    const file = await orNullIfMissing(open(this.path(key), 'r'));
    if (file === null) return null;
    try {
      const { size } = await file.stat();
      const wanted = Math.min(byteCount, size);
      const { buffer, bytesRead } = await file.read(Buffer.alloc(wanted), 0, wanted, size - wanted);
      return buffer.subarray(0, bytesRead);
    } finally {
      await file.close();
    }
  }

  async put(key: string, bytes: Uint8Array): Promise<void> {
    const path = this.path(key);
    await this.exclusively(path, () => this.replace(path, bytes));
  }

  async putIfAbsent(key: string, bytes: Uint8Array): Promise<boolean> {
    const writer = await this.openWriter(key);
    try {
      await writer.append(bytes);
      return await writer.commitIfAbsent();
    } finally {
      await writer.discard();
    }
  }

  putIfUnchanged(key: string, bytes: Uint8Array, version: string): Promise<string | null> {
    const path = this.path(key);
    return this.exclusively(path, async () => {
      const current = await orNullIfMissing(readFile(path));
      if (current === null || versionOf(current) !== version) return null;
      await this.replace(path, bytes);
      return versionOf(bytes);
    });
  }

  async openWriter(key: string): Promise<ObjectWriter> {
    return LocalWriter.open(this.path(key), this.staging);
  }

  async listNames(prefix: string): Promise<string[]> {
    checkPrefix(prefix);
    const names = (await orNullIfMissing(readdir(join(this.root, prefix)))) ?? [];
    return names.filter((name) => !name.endsWith(TEMPORARY_SUFFIX)).sort();
  }

  async delete(key: string): Promise<void> {
    const path = this.path(key);
    await this.exclusively(path, async () => {
      await rm(path, { force: true }).catch(ignoreMissing);
      await syncDirectory(dirname(path)).catch(ignoreMissing);
    });
  }

  /** All of it at once: it is renamed away before it is removed. */
  async deleteAll(prefix: string): Promise<void> {
    checkPrefix(prefix);
    const directory = join(this.root, prefix.slice(0, -1));
    const doomed = stagedPath(this.staging);
    try {
      await place(doomed, () => rename(directory, doomed), await isThere(directory));
    } catch (error) {
      if (isMissing(error)) return;
      throw error;
    }
    await syncDirectory(dirname(directory)).catch(ignoreMissing);
    await rm(doomed, { recursive: true, force: true });
  }

  /** Also what former releases staged beside the files. */
  async sweep(olderThanMs: number): Promise<void> {
    for (const directory of [this.staging, join(this.root, 'files')]) {
      const names = (await orNullIfMissing(readdir(directory))) ?? [];
      for (const name of names.filter((name) => name.endsWith(TEMPORARY_SUFFIX))) await removeIfOld(join(directory, name), olderThanMs);
    }
  }

  refusal(byteCount: number): Promise<string | null> {
    return this.disk.refusal(byteCount);
  }

  private path(key: string): string {
    checkKey(key);
    return join(this.root, key);
  }

  private async replace(path: string, bytes: Uint8Array): Promise<void> {
    const writer = await LocalWriter.open(path, this.staging);
    try {
      await writer.append(bytes);
      await writer.commit();
    } finally {
      await writer.discard();
    }
  }

  /** No other process of this machine replaces or deletes the object meanwhile. */
  private async exclusively<T>(path: string, work: () => Promise<T>): Promise<T> {
    const giveUpAt = performance.now() + LOCK_WAIT_MS_MAX;
    let lock = await tryKernelLock('object', path);
    while (lock === null) {
      if (performance.now() > giveUpAt) throw new Error(`${path}: waited ${LOCK_WAIT_MS_MAX} ms for another process that writes it`);
      await sleep(1 + Math.random() * LOCK_RETRY_MS);
      lock = await tryKernelLock('object', path);
    }
    try {
      return await work();
    } finally {
      lock.close();
    }
  }
}

class LocalWriter implements ObjectWriter {
  private constructor(
    private readonly path: string,
    private readonly staged: string,
    private readonly file: FileHandle,
  ) {}

  static async open(path: string, staging: string): Promise<LocalWriter> {
    const staged = stagedPath(staging);
    try {
      return new LocalWriter(path, staged, await place(staged, () => open(staged, 'wx', 0o600)));
    } catch (error) {
      throw explainWriteError(error);
    }
  }

  async append(part: Uint8Array): Promise<void> {
    await explained(this.file.writeFile(part));
  }

  async commit(): Promise<void> {
    await explained(this.sync().then(() => this.name(rename)));
  }

  async commitIfAbsent(): Promise<boolean> {
    try {
      await explained(this.sync().then(() => this.name(link)));
      return true;
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code === 'EEXIST') return false;
      throw error;
    } finally {
      await rm(this.staged, { force: true });
    }
  }

  async discard(): Promise<void> {
    await this.file.close().catch(() => undefined);
    await rm(this.staged, { force: true }).catch(() => undefined);
  }

  private async sync(): Promise<void> {
    await this.file.datasync();
    await this.file.close();
  }

  private async name(how: (from: string, to: string) => Promise<void>): Promise<void> {
    await place(this.path, () => how(this.staged, this.path));
    // Another process may have removed the folder meanwhile, and this with it.
    await syncDirectory(dirname(this.path)).catch(ignoreMissing);
  }
}

/** Hash of the bytes. */
function versionOf(bytes: Uint8Array): string {
  return createHash('sha256').update(bytes).digest('base64url');
}

const stagedPath = (staging: string): string => join(staging, `${randomBytes(9).toString('hex')}${TEMPORARY_SUFFIX}`);

/** Does what gives something the name `path`, and makes the folders that are missing for it. */
async function place<T>(path: string, work: () => Promise<T>, isSourceThere = true): Promise<T> {
  for (let attempt = 1; ; attempt++) {
    try {
      return await work();
    } catch (error) {
      if (!isMissing(error) || !isSourceThere || attempt === PLACE_TRIES_MAX) throw error;
    }
    await makeDirectory(dirname(path));
  }
}

/** With the names of those that were missing made durable. */
async function makeDirectory(path: string): Promise<void> {
  const first = await mkdir(path, { recursive: true, mode: 0o700 });
  if (first === undefined) return;
  for (let made = path; made.length >= first.length; made = dirname(made)) await syncDirectory(dirname(made)).catch(ignoreMissing);
}

async function isThere(path: string): Promise<boolean> {
  return (await orNullIfMissing(stat(path))) !== null;
}

async function removeIfOld(path: string, olderThanMs: number): Promise<void> {
  const facts = (await orNullIfMissing(stat(join(path, 'content')))) ?? (await orNullIfMissing(stat(path)));
  if (facts !== null && Date.now() - facts.mtimeMs > olderThanMs) await rm(path, { recursive: true, force: true });
}

async function explained<T>(write: Promise<T>): Promise<T> {
  try {
    return await write;
  } catch (error) {
    throw explainWriteError(error);
  }
}

function ignoreMissing(error: unknown): void {
  if (!isMissing(error)) throw error;
}

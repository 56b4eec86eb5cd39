import { createHash } from 'node:crypto';
import { mkdir, open, readFile, rm, stat, writeFile, type FileHandle } from 'node:fs/promises';
import { homedir } from 'node:os';
import { basename, dirname, join, resolve } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { SingleBar } from 'cli-progress';
import { byteText, type FileObject, type UploadObject, type UploadPartObject } from '@app/contracts';
import type { ApiClient } from './client';
import { CliError, ServerRefusal, Unreachable } from './cli-error';

/** Smaller files go in one request. */
const WHOLE_BYTES_MAX = 64 * 1024 * 1024;
/** What is lost when a connection breaks. */
const PART_BYTES = 16 * 1024 * 1024;
const TRIES_MAX = 6;
const WAIT_MS = 500;
/** An upload that ends sooner is not gone on with. */
const LIFE_SECONDS_MIN = 60;
const PENDING_KEPT_MAX = 10_000;

/** What is kept of an upload on this machine, so that the same command goes on with it. */
interface Progress {
  uploadId: string;
  partIds: string[];
}

/**
 * Sends a file as it is. One over 64 MiB goes in parts: a part whose connection breaks is sent again, and after an interruption the same
 * command goes on where it was, for an hour. Rejects with a `CliError`.
 */
export async function uploadFile(client: ApiClient, path: string): Promise<FileObject> {
  const file = await open(path).catch((error: Error) => {
    throw new CliError(`${path} cannot be read: ${error.message}`);
  });
  try {
    const { size } = await file.stat();
    if (size <= WHOLE_BYTES_MAX) return await client.upload(basename(path), file.createReadStream({ autoClose: false }));
    return await new PartedUpload(client, path, file, size, await notePathOf(client.address, path)).run();
  } finally {
    await file.close();
  }
}

class PartedUpload {
  private readonly bar = new SingleBar({ format: 'upload {bar} {percentage}% | {sent} of {all}', barsize: 30, stream: process.stderr });

  constructor(
    private readonly client: ApiClient,
    private readonly path: string,
    private readonly file: FileHandle,
    private readonly size: number,
    private readonly notePath: string,
  ) {}

  async run(): Promise<FileObject> {
    const progress = (await this.resumed()) ?? (await this.begun());
    this.bar.start(this.size, 0, this.texts(0));
    try {
      const md5 = createHash('md5');
      for (let at = 0, number = 0; at < this.size; at += PART_BYTES, number++) {
        const bytes = await this.read(at);
        md5.update(bytes);
        if (number >= progress.partIds.length) await this.sendPart(progress, bytes);
        this.bar.update(at + bytes.length, this.texts(at + bytes.length));
      }
      return await this.complete(progress, md5.digest('hex'));
    } finally {
      this.bar.stop();
    }
  }

  /** Null: there is none that can be gone on with. */
  private async resumed(): Promise<Progress | null> {
    const progress = await this.readNote();
    if (progress === null) return null;
    const upload = await this.client.get<UploadObject>(`/v1/uploads/${progress.uploadId}`).catch((error: unknown) => {
      if (error instanceof ServerRefusal && error.status === 404) return null;
      throw error;
    });
    if (upload === null || upload.bytes !== this.size) return null;
    if (upload.status === 'completed') return upload.file === null ? null : progress;
    if (upload.status !== 'pending' || upload.expires_at - Date.now() / 1000 < LIFE_SECONDS_MIN) return null;
    const there = new Set(upload.interleave?.parts.map(({ id }) => id));
    if (!progress.partIds.every((id) => there.has(id))) return null;
    console.error(`goes on with upload ${upload.id}, of which ${byteText(progress.partIds.length * PART_BYTES)} are there`);
    return progress;
  }

  private async begun(): Promise<Progress> {
    const upload = await this.client.post<UploadObject>('/v1/uploads', {
      bytes: this.size,
      filename: basename(this.path),
      mime_type: 'application/octet-stream',
      purpose: 'batch',
    });
    return { uploadId: upload.id, partIds: [] };
  }

  private async sendPart(progress: Progress, bytes: Buffer): Promise<void> {
    const digest = createHash('sha256').update(bytes).digest('base64');
    const part = await again(() =>
      this.client.postBytes<UploadPartObject>(`/v1/uploads/${progress.uploadId}/parts`, bytes, { 'content-digest': `sha-256=:${digest}:` }),
    );
    progress.partIds.push(part.id);
    await this.writeNote(progress);
  }

  /** Whatever the server says to it, there is nothing to go on with afterwards. */
  private async complete({ uploadId, partIds }: Progress, md5: string): Promise<FileObject> {
    const request = { part_ids: partIds, md5 };
    const { file } = await again(() => this.client.post<UploadObject>(`/v1/uploads/${uploadId}/complete`, request)).catch(
      async (error: unknown) => {
        if (error instanceof ServerRefusal && !isTemporary(error.status)) await rm(this.notePath, { force: true });
        throw error;
      },
    );
    await rm(this.notePath, { force: true });
    if (file === null) throw new CliError(`upload ${uploadId} was completed but its file is gone; run the command again`);
    return file;
  }

  private async read(at: number): Promise<Buffer> {
    const wanted = Math.min(PART_BYTES, this.size - at);
    const bytes = Buffer.alloc(wanted);
    for (let filled = 0; filled < wanted;) {
      const { bytesRead } = await this.file.read(bytes, filled, wanted - filled, at + filled);
      if (bytesRead === 0) throw new CliError(`${this.path} became shorter while it was sent`);
      filled += bytesRead;
    }
    return bytes;
  }

  private async readNote(): Promise<Progress | null> {
    try {
      const { uploadId, partIds } = JSON.parse(await readFile(this.notePath, 'utf8')) as Partial<Progress>;
      const isNote = typeof uploadId === 'string' && /^\w+$/.test(uploadId) && Array.isArray(partIds) && partIds.length <= PENDING_KEPT_MAX;
      return isNote ? { uploadId, partIds } : null;
    } catch {
      return null;
    }
  }

  /** Without a note the next command begins anew; that is no reason to end this one. */
  private async writeNote(progress: Progress): Promise<void> {
    await mkdir(dirname(this.notePath), { recursive: true, mode: 0o700 })
      .then(() => writeFile(this.notePath, JSON.stringify(progress), { mode: 0o600 }))
      .catch(() => undefined);
  }

  private texts(sent: number): { sent: string; all: string } {
    return { sent: byteText(sent), all: byteText(this.size) };
  }
}

/** Of this file as it is now, for this server. */
async function notePathOf(address: string, path: string): Promise<string> {
  const { size, mtimeMs, ino } = await stat(path);
  const name = createHash('sha256')
    .update(JSON.stringify([address, resolve(path), size, mtimeMs, ino]))
    .digest('hex');
  return join(homedir(), '.cache', 'interleave', 'uploads', `${name}.json`);
}

/** Tries again what may work later: no connection, a server that is busy or restarts. */
async function again<T>(work: () => Promise<T>): Promise<T> {
  for (let attempt = 1; ; attempt++) {
    try {
      return await work();
    } catch (error) {
      const isWorthIt = error instanceof Unreachable || (error instanceof ServerRefusal && isTemporary(error.status));
      if (!isWorthIt || attempt === TRIES_MAX) throw error;
    }
    await sleep(WAIT_MS * 2 ** (attempt - 1));
  }
}

const isTemporary = (status: number): boolean => status === 408 || status === 429 || status === 500 || status === 502 || status === 503;

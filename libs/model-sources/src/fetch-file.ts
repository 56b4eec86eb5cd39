import { createHash, type Hash } from 'node:crypto';
import { mkdir, open, type FileHandle } from 'node:fs/promises';
import { dirname } from 'node:path';
import { ATTEMPTS_MAX, RESUMES_MAX, type SourceLimits } from './limits';
import type { FetchProgress, ModelSource, SourceFile } from './model-source';
import { givenUp, waitBeforeRetry } from './retry';
import { SourceError, TransientError } from './source-error';
import { writeAll } from './write-all';

/**
 * Fetches one file to `target`, a new path, and makes it durable. What broke off goes on where it was. Resolves with the SHA-256 of
 * what was written; rejects with a `SourceError` when its length or a hash is not what the source said.
 */
export async function fetchFile(
  source: Pick<ModelSource, 'uri' | 'open'>,
  file: SourceFile,
  target: string,
  limits: Pick<SourceLimits, 'retryMs'>,
  progress: FetchProgress,
): Promise<string> {
  await mkdir(dirname(target), { recursive: true });
  const output = await open(target, 'wx', 0o644);
  progress.begin(file.path, file.bytes);
  try {
    const fetched = new Fetched(source.uri, file, output, progress);
    await writeWhole(source, fetched, limits.retryMs);
    await output.sync();
    return fetched.check();
  } finally {
    await output.close();
    progress.end(file.path);
  }
}

async function writeWhole(source: Pick<ModelSource, 'open'>, fetched: Fetched, retryMs: number): Promise<void> {
  let failures = 0;
  for (let resumes = 0; !fetched.isWhole; resumes++) {
    const before = fetched.position;
    try {
      for await (const part of await source.open(fetched.file, before)) await fetched.write(part);
      if (!fetched.isWhole) throw new TransientError(fetched.describe(`ends at ${fetched.position} of ${fetched.file.bytes} bytes`));
    } catch (error) {
      if (!(error instanceof TransientError)) throw error;
      failures = fetched.position > before ? 1 : failures + 1;
      if (failures === ATTEMPTS_MAX || resumes === RESUMES_MAX) throw givenUp(error, resumes + 1);
      await waitBeforeRetry(error, failures, retryMs);
    }
  }
}

class Fetched {
  position = 0;
  private readonly sha256 = createHash('sha256');
  /** Git's name of a content is a hash over its length and itself. */
  private readonly git: Hash | null;

  constructor(
    private readonly uri: string,
    readonly file: SourceFile,
    private readonly output: FileHandle,
    private readonly progress: FetchProgress,
  ) {
    this.git = file.gitSha1 === undefined ? null : createHash('sha1').update(`blob ${file.bytes}\0`);
  }

  get isWhole(): boolean {
    return this.position === this.file.bytes;
  }

  describe(what: string): string {
    return `${this.uri}: ${this.file.path} ${what}`;
  }

  async write(part: Uint8Array): Promise<void> {
    if (this.position + part.length > this.file.bytes)
      throw new SourceError(this.describe(`has more than the ${this.file.bytes} bytes that were announced; it is not used`));
    await writeAll(this.output, part);
    this.sha256.update(part);
    this.git?.update(part);
    this.position += part.length;
    this.progress.bytes(part.length);
  }

  /** The SHA-256, hexadecimal. */
  check(): string {
    const sha256 = this.sha256.digest('hex');
    this.compare('SHA-256', this.file.sha256, sha256);
    this.compare('git hash', this.file.gitSha1, this.git?.digest('hex'));
    return sha256;
  }

  private compare(kind: string, expected: string | undefined, found: string | undefined): void {
    if (expected === undefined || expected === found) return;
    throw new SourceError(this.describe(`was altered on its way: expected the ${kind} ${expected} but received ${found}; it is not used`));
  }
}

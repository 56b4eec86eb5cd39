import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { loadConfig, type Config, type FileConfig } from '@app/config';
import {
  BatchStore,
  FileStore,
  LocalStore,
  newBatchId,
  newFileId,
  newManifest,
  uploadLimits,
  type BatchView,
  type Manifest,
  type NewBatch,
  SEES_ALL,
} from '@app/batches';
import { TestRedis } from './redis-server';

export interface TestRow {
  custom_id: string;
  method: string;
  url: string;
  body: unknown;
}

export const echoRow = (index: number, input: unknown = `text ${index}`): TestRow => ({
  custom_id: `row-${index}`,
  method: 'POST',
  url: '/v1/embeddings',
  body: { model: 'echo', input },
});

export const echoRows = (count: number): TestRow[] => Array.from({ length: count }, (_, index) => echoRow(index));

export const toJsonl = (rows: readonly unknown[]): string => rows.map((row) => `${JSON.stringify(row)}\n`).join('');

export function testConfig(directory: string, batch: Partial<FileConfig['batch']>): Config {
  const base = loadConfig({ DATA_DIR: directory, RUN_DIR: directory, REDIS_URL: `unix://${directory}/redis.sock`, LOG_LEVEL: 'fatal' });
  return { ...base, batch: { ...base.batch, diskFreeBytesMin: 0, ...batch } };
}

/** A data directory with its own Redis, and what a client of the batch lane does to it, without the HTTP in between. */
export class Workspace {
  readonly directory = mkdtempSync(join(tmpdir(), 'il-batch-'));
  readonly redis = new TestRedis(this.directory);
  readonly config: Config;
  readonly store = new LocalStore(this.directory);
  readonly files: FileStore;
  readonly batches: BatchStore;

  constructor(batch: Partial<FileConfig['batch']> = {}) {
    this.config = testConfig(this.directory, batch);
    this.files = new FileStore(this.store, uploadLimits(this.config.batch));
    this.batches = new BatchStore(this.store);
  }

  async upload(content: string | Buffer, filename = 'rows.jsonl'): Promise<string> {
    const upload = await this.files.beginUpload(0);
    const bytes = Buffer.from(content);
    for (let at = 0; at < bytes.length; at += 65_536) await upload.write(bytes.subarray(at, at + 65_536));
    return (await upload.commit({ filename, purpose: 'batch', tenant: 'default', expiresAfterSeconds: null })).id;
  }

  async createBatch(
    inputFileId: string | null,
    changes: Partial<Pick<Manifest['batch'], 'expires_at' | 'endpoint' | 'deterministic'>> = {},
    parts: Partial<NewBatch> = {},
  ): Promise<string> {
    const createdAt = Math.floor(Date.now() / 1000);
    const batchId = newBatchId();
    const manifest = newManifest({
      batchId,
      tenant: 'default',
      models: null,
      endpoint: '/v1/embeddings',
      inputFileId,
      outputFileId: newFileId(),
      errorFileId: newFileId(),
      metadata: null,
      isDeterministic: false,
      outputExpiresAfterSeconds: null,
      createdAt,
      expiresAt: createdAt + 86_400,
      ...parts,
    });
    Object.assign(manifest.batch, changes);
    if (inputFileId !== null) await this.files.addUse(inputFileId, batchId);
    await this.batches.create(manifest);
    return batchId;
  }

  async submit(rows: readonly unknown[]): Promise<string> {
    return this.createBatch(await this.upload(toJsonl(rows)));
  }

  /** Waits for a state of the batch; the caller's test timeout is the limit. */
  async until(batchId: string, isReached: (batch: BatchView) => boolean): Promise<BatchView> {
    for (;;) {
      const batch = await this.batches.get(batchId, SEES_ALL);
      if (isReached(batch)) return batch;
      await sleep(20);
    }
  }

  untilOver(batchId: string): Promise<BatchView> {
    return this.until(batchId, ({ status }) => ['completed', 'failed', 'expired', 'cancelled'].includes(status));
  }

  async readLines(fileId: string | null): Promise<OutputLine[]> {
    return (await this.readText(fileId))
      .split('\n')
      .slice(0, -1)
      .map((line) => JSON.parse(line) as OutputLine);
  }

  /** Empty when there is no file. */
  async readText(fileId: string | null): Promise<string> {
    return (await this.readBytes(fileId)).toString();
  }

  /** Empty when there is no file. */
  async readBytes(fileId: string | null): Promise<Buffer> {
    if (fileId === null) return Buffer.alloc(0);
    const record = await this.files.get(fileId, SEES_ALL);
    const parts: Buffer[] = [];
    for await (const part of this.files.openContent(record, { start: 0, end: record.bytes })) parts.push(part);
    return Buffer.concat(parts);
  }

  async close(): Promise<void> {
    await this.redis.kill();
    rmSync(this.directory, { recursive: true, force: true });
  }
}

export interface OutputLine {
  id: string;
  custom_id: string;
  response: { status_code: number; request_id: string; body: { echo?: string; error?: { code: string; message: string } } } | null;
  error: { code: string; message: string } | null;
}

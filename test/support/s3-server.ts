import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, mkdirSync, mkdtempSync, rmSync } from 'node:fs';
import { createServer, type AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { delimiter, join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { CreateBucketCommand } from '@aws-sdk/client-s3';
import type { BucketLocation } from '@app/config';
import { openS3Client } from '@app/batches';

export type S3ServerKind = 'moto' | 'versitygw';

const KEY = { AWS_ACCESS_KEY_ID: 'test-key', AWS_SECRET_ACCESS_KEY: 'test-secret' };
const BUCKET = 'interleave-test';
const START_MS_MAX = 60_000;
/** `tools/setup.sh --tests` makes its `.venv`. */
const MOTO = join(__dirname, '../../tools/s3-server');

/** The program of such a server; null: there is none here, and what needs one counts as skipped. */
export function findS3Server(kind: S3ServerKind): string | null {
  const paths =
    kind === 'moto' ? [join(MOTO, '.venv/bin/python3')] : (process.env['PATH'] ?? '').split(delimiter).map((folder) => join(folder, kind));
  return paths.find((path) => existsSync(path)) ?? null;
}

/** A real S3-compatible server of a test, with a bucket. moto forgets everything when it ends. */
export class TestS3Server {
  readonly location: BucketLocation;
  private child: ChildProcess | null = null;
  private readonly directory = mkdtempSync(join(tmpdir(), 'il-s3-'));

  private constructor(
    private readonly kind: S3ServerKind,
    private readonly port: number,
  ) {
    const endpoint = { url: `http://127.0.0.1:${port}`, region: 'us-east-1' };
    this.location = { kind: 'bucket', bucket: BUCKET, prefix: 'a/b/', endpoint };
  }

  static async start(kind: S3ServerKind): Promise<TestS3Server> {
    Object.assign(process.env, KEY);
    const server = new TestS3Server(kind, await freePort());
    await server.launch();
    return server;
  }

  /** What a process needs to use it as its store. */
  environment(): Record<string, string> {
    return { ...KEY, AWS_ENDPOINT_URL_S3: this.location.endpoint?.url ?? '', STORAGE_URL: `s3://${BUCKET}/${this.location.prefix}` };
  }

  async launch(): Promise<void> {
    const [program, args] = this.command();
    this.child = spawn(program, args, {
      stdio: 'ignore',
      env: { ...process.env, ROOT_ACCESS_KEY: KEY.AWS_ACCESS_KEY_ID, ROOT_SECRET_KEY: KEY.AWS_SECRET_ACCESS_KEY },
    });
    const client = await openS3Client(this.location);
    const giveUpAt = performance.now() + START_MS_MAX;
    for (;;) {
      try {
        await client.send(new CreateBucketCommand({ Bucket: BUCKET }));
        break;
      } catch (error) {
        if (/BucketAlready/.test((error as Error).name)) break;
        if (performance.now() > giveUpAt) throw error;
        await sleep(100);
      }
    }
    client.destroy();
  }

  async kill(): Promise<void> {
    const { child } = this;
    this.child = null;
    if (child === null) return;
    const exit = once(child, 'exit');
    child.kill('SIGKILL');
    await exit;
  }

  async remove(): Promise<void> {
    await this.kill();
    rmSync(this.directory, { recursive: true, force: true });
  }

  private command(): [string, string[]] {
    const program = findS3Server(this.kind);
    if (program === null) throw new Error(`${this.kind} is not here`);
    if (this.kind === 'moto') return [program, [join(MOTO, 'serve.py'), '127.0.0.1', String(this.port)]];
    const [data, facts] = ['data', 'facts'].map((name) => join(this.directory, name)) as [string, string];
    for (const path of [data, facts]) mkdirSync(path, { recursive: true });
    return [program, ['--port', `127.0.0.1:${this.port}`, '--quiet', 'posix', '--sidecar', facts, data]];
  }
}

async function freePort(): Promise<number> {
  const server = createServer();
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const { port } = server.address() as AddressInfo;
  await new Promise((resolve) => server.close(resolve));
  return port;
}

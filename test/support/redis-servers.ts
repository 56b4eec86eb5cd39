import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { createServer, type AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { Redis, type RedisOptions } from 'ioredis';
import { Certificates } from './certificates';

/** What all servers ask for, sentinels included. */
export const REDIS_PASSWORD = 'p@ss/word';

export interface StartedRedis {
  port: number;
  child: ChildProcess;
}

/**
 * Servers of their own for a test, reached over TCP on this machine: with `tls` over TLS only, and then with a password. `caFile` is
 * their authority.
 */
export class RedisServers {
  private readonly dir = mkdtempSync(join(tmpdir(), 'il-redis-'));
  private readonly started: StartedRedis[] = [];
  private readonly certificates: Certificates | null;
  private readonly certificate: { certFile: string; keyFile: string } | null = null;
  readonly caFile: string | null = null;

  constructor({ tls }: { tls: boolean }) {
    this.certificates = tls ? new Certificates() : null;
    if (this.certificates === null) return;
    const authority = this.certificates.authority('redis authority');
    this.caFile = authority.certFile;
    this.certificate = this.certificates.issue(authority, 'redis');
  }

  async server(options: { replicaOf?: StartedRedis; port?: number } = {}): Promise<StartedRedis> {
    const port = options.port ?? (await freePort());
    const replica = options.replicaOf === undefined ? [] : ['--replicaof', `127.0.0.1 ${options.replicaOf.port}`];
    const password = this.caFile === null ? [] : ['--requirepass', REDIS_PASSWORD, '--masterauth', REDIS_PASSWORD];
    const kept = ['--dir', mkdtempSync(join(this.dir, 'data-')), '--appendonly', 'yes', '--save', '', '--maxmemory-policy', 'noeviction'];
    return this.start(port, [...this.listen(port), ...kept, ...password, ...replica, '--repl-diskless-sync-delay', '0']);
  }

  /** Watches the server under the name "mymaster" and makes its replica the primary after a second without it. */
  async sentinel(primary: StartedRedis): Promise<StartedRedis> {
    const port = await freePort();
    const file = join(this.dir, `sentinel-${port}.conf`);
    const lines = [
      `sentinel monitor mymaster 127.0.0.1 ${primary.port} 1`,
      'sentinel down-after-milliseconds mymaster 1000',
      'sentinel failover-timeout mymaster 3000',
      ...(this.caFile === null ? [] : [`sentinel auth-pass mymaster ${REDIS_PASSWORD}`, `requirepass ${REDIS_PASSWORD}`]),
    ];
    writeFileSync(file, `${lines.join('\n')}\n`);
    return this.start(port, [file, '--sentinel', ...this.listen(port)]);
  }

  /** A connection for the test itself. */
  async command<T>({ port }: StartedRedis, run: (redis: Redis) => Promise<T>): Promise<T> {
    const redis = new Redis({ host: '127.0.0.1', port, ...this.credentials(), retryStrategy: () => 20, maxRetriesPerRequest: 200 });
    redis.on('error', () => undefined);
    try {
      return await run(redis);
    } finally {
      redis.disconnect();
    }
  }

  async kill(server: StartedRedis): Promise<void> {
    if (server.child.exitCode !== null || server.child.signalCode !== null) return;
    const exit = once(server.child, 'exit');
    server.child.kill('SIGKILL');
    await exit;
  }

  async close(): Promise<void> {
    await Promise.all(this.started.map((server) => this.kill(server)));
    this.certificates?.remove();
    rmSync(this.dir, { recursive: true });
  }

  private credentials(): RedisOptions {
    return this.caFile === null ? {} : { password: REDIS_PASSWORD, tls: { rejectUnauthorized: false } };
  }

  private listen(port: number): string[] {
    if (this.certificate === null || this.caFile === null) return ['--port', String(port)];
    const { certFile, keyFile } = this.certificate;
    const files = ['--tls-cert-file', certFile, '--tls-key-file', keyFile, '--tls-ca-cert-file', this.caFile];
    return ['--port', '0', '--tls-port', String(port), ...files, '--tls-auth-clients', 'no', '--tls-replication', 'yes'];
  }

  private async start(port: number, args: string[]): Promise<StartedRedis> {
    const server = { port, child: spawn('redis-server', args, { stdio: 'ignore' }) };
    this.started.push(server);
    await this.command(server, (redis) => redis.ping());
    return server;
  }
}

/** Until it is so; the test's own time is the limit. */
export async function until(isSo: () => boolean | Promise<boolean>): Promise<void> {
  while (!(await isSo())) await sleep(50);
}

async function freePort(): Promise<number> {
  const server = createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  server.close();
  await once(server, 'close');
  return port;
}

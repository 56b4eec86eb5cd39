import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { Redis } from 'ioredis';

/** A private `redis-server` for a test, configured like the scheduler's, on a Unix socket in `directory`. */
export class TestRedis {
  private child: ChildProcess | null = null;
  readonly socketPath: string;

  constructor(private readonly directory: string) {
    this.socketPath = join(directory, 'redis.sock');
  }

  async start(): Promise<void> {
    const settings = [
      '--port',
      '0',
      '--unixsocket',
      this.socketPath,
      '--dir',
      this.directory,
      '--appendonly',
      'yes',
      '--maxmemory-policy',
      'noeviction',
      '--save',
      '',
    ];
    this.child = spawn('redis-server', settings, { stdio: 'ignore' });
    while (!existsSync(this.socketPath)) await sleep(10);
    await this.command((redis) => redis.ping());
  }

  async flush(): Promise<void> {
    await this.command((redis) => redis.flushall());
  }

  /** It stays connected and answers nothing. */
  freeze(): void {
    this.child?.kill('SIGSTOP');
  }

  thaw(): void {
    this.child?.kill('SIGCONT');
  }

  async kill(): Promise<void> {
    const { child } = this;
    if (child === null) return;
    this.child = null;
    const exit = once(child, 'exit');
    child.kill('SIGKILL');
    await exit;
  }

  private async command(run: (redis: Redis) => Promise<unknown>): Promise<void> {
    const redis = new Redis({ path: this.socketPath });
    redis.on('error', () => undefined);
    await run(redis);
    redis.disconnect();
  }
}

import { spawn, spawnSync, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { cpSync, existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { SupervisedProcessStatus } from '@app/contracts';
import { fetchStatus } from '@app/process';

/** The checkout: two folders up from the source, three from the compiled file. */
const root = [join(__dirname, '..', '..'), join(__dirname, '..', '..', '..')].find((dir) => existsSync(join(dir, 'package.json'))) ?? '.';
const READY_MS_MAX = 60_000;
const EXIT_MS_MAX = 40_000;

export interface StackOptions {
  /** Names of models that the repository ships or that the model builder builds. */
  models: string[];
  /** Content of `model.yaml` by the model's name. */
  modelFiles?: Record<string, string>;
  /** Content of `interleave.yaml`. */
  config?: string;
  environment?: Record<string, string>;
  /** Where its folder is made; default: the system's folder for temporary files. */
  parentDir?: string;
  /** Until when its start waits; default: `ready`. A node with a model that is not loaded is live, not ready. */
  until?: 'live' | 'ready';
}

/** A whole node in a folder of its own: the built product, started as a user starts it. */
export class Stack {
  private constructor(
    readonly url: string,
    /** Host and port. */
    readonly grpcAddress: string,
    readonly dir: string,
    private up: ChildProcess,
    private readonly output: string[],
    private readonly startUp: () => ChildProcess,
  ) {}

  static async start(options: StackOptions): Promise<Stack> {
    const dir = mkdtempSync(join(options.parentDir ?? tmpdir(), 'il-'));
    provideModels(join(dir, 'models'), options.models);
    for (const [model, content] of Object.entries(options.modelFiles ?? {})) {
      mkdirSync(join(dir, 'models', model), { recursive: true });
      writeFileSync(join(dir, 'models', model, 'model.yaml'), content);
    }
    writeFileSync(join(dir, 'interleave.yaml'), options.config ?? '');
    const port = await freePort();
    const grpcPort = await freePort();
    const output: string[] = [];
    const startUp = (): ChildProcess => {
      const up = spawn(process.execPath, [join(root, 'bin', 'interleave.js'), 'up'], {
        cwd: dir,
        env: {
          ...process.env,
          DATA_DIR: join(dir, 'data'),
          MODELS_DIR: join(dir, 'models'),
          HOST: '127.0.0.1',
          PORT: String(port),
          GRPC_PORT: String(grpcPort),
          ...options.environment,
        },
        stdio: ['ignore', 'pipe', 'pipe'],
      });
      for (const stream of [up.stdout, up.stderr]) stream?.on('data', (part: Buffer) => output.push(part.toString('utf8')));
      return up;
    };
    const stack = new Stack(`http://127.0.0.1:${port}`, `127.0.0.1:${grpcPort}`, dir, startUp(), output, startUp);
    try {
      await stack.reaches(options.until ?? 'ready');
    } catch (error) {
      await stack.stop();
      throw error;
    }
    return stack;
  }

  /** Everything the processes wrote so far. */
  log(): string {
    return this.output.join('');
  }

  get runDir(): string {
    return join(this.dir, 'data', 'run');
  }

  get schedulerPid(): number {
    return this.up.pid ?? 0;
  }

  ready(): Promise<void> {
    return this.reaches('ready');
  }

  private async reaches(health: 'live' | 'ready'): Promise<void> {
    await until(
      async () => {
        return (
          this.up.exitCode !== null ||
          fetch(`${this.url}/v2/health/${health}`).then(
            (response) => response.status === 200,
            () => false,
          )
        );
      },
      READY_MS_MAX,
      () => `not ${health}:\n${this.log().slice(-8000)}`,
    );
    if (this.up.exitCode !== null) throw new Error(`the stack ended with ${this.up.exitCode}:\n${this.log()}`);
  }

  /** How the scheduler's process ends. */
  async exited(): Promise<{ code: number | null; signal: NodeJS.Signals | null }> {
    const [code, signal] = (await once(this.up, 'exit')) as [number | null, NodeJS.Signals | null];
    return { code, signal };
  }

  /** SIGKILL; resolves when it is gone. What it looked after goes on. */
  async killScheduler(): Promise<void> {
    const gone = this.exited();
    this.up.kill('SIGKILL');
    await gone;
  }

  /** SIGKILL for all of it at once, as if its machine had lost power. */
  async lose(): Promise<void> {
    await this.killScheduler();
    this.endLeftovers();
  }

  /** After `killScheduler` or `lose`: another one, as its operator would start it. */
  startScheduler(): void {
    this.up = this.startUp();
  }

  /** The clean end of everything, and a new start of the same node. */
  async restart(): Promise<void> {
    const gone = this.exited();
    this.up.kill('SIGTERM');
    await gone;
    this.startScheduler();
    await this.ready();
  }

  /** The processes of the node as the scheduler knows them. */
  async processes(): Promise<SupervisedProcessStatus[]> {
    const status = await fetchStatus('scheduler', join(this.runDir, 'scheduler.status.sock'), 10_000);
    return status.processes;
  }

  async pidOf(processId: string): Promise<number> {
    const found = (await this.processes()).find(({ id }) => id === processId);
    if (!found?.pid) throw new Error(`no running process ${processId}`);
    return found.pid;
  }

  /** SIGTERM, waits for the clean end, removes the folder; resolves with the exit code. */
  async stop(): Promise<number | null> {
    if (this.up.exitCode === null && this.up.signalCode === null) {
      this.up.kill('SIGTERM');
      await until(
        async () => this.up.exitCode !== null || this.up.signalCode !== null,
        EXIT_MS_MAX,
        () => 'did not end',
      ).catch(() => this.up.kill('SIGKILL'));
    }
    this.endLeftovers();
    rmSync(this.dir, { recursive: true, force: true, maxRetries: 5 });
    return this.up.exitCode;
  }

  /** Kills what a scheduler left running that died: with our pipes open it would keep the test run from ending. */
  private endLeftovers(): void {
    if (!existsSync(this.runDir)) return;
    for (const name of readdirSync(this.runDir).filter((file) => file.endsWith('.pid.json'))) {
      const { pid } = JSON.parse(readFileSync(join(this.runDir, name), 'utf8')) as { pid: number };
      if (existsSync(`/proc/${pid}`)) process.kill(pid, 'SIGKILL');
    }
  }
}

/** Resident memory in MiB. */
export function residentMiB(pid: number): number {
  const match = /VmRSS:\s+(\d+) kB/.exec(readFileSync(`/proc/${pid}/status`, 'utf8'));
  return Number(match?.[1] ?? 0) / 1024;
}

/** Polls until the condition holds; an error counts as "not yet". Throws what `message` says after the limit. */
export async function until(condition: () => Promise<boolean>, limitMs: number, message: () => string): Promise<void> {
  const endAt = Date.now() + limitMs;
  let lastError: unknown = null;
  const holds = () => condition().catch((error: unknown) => ((lastError = error), false));
  while (!(await holds())) {
    if (Date.now() > endAt) throw new Error(message(), { cause: lastError });
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
}

function provideModels(outDir: string, models: string[]): void {
  const isShipped = (model: string) => existsSync(join(root, 'models', model, 'README.md'));
  for (const model of models.filter(isShipped)) cpSync(join(root, 'models', model), join(outDir, model), { recursive: true });
  const toBuild = models.filter((model) => !isShipped(model));
  if (toBuild.length === 0) return;
  const builder = join(root, 'dist', 'tools', 'model-builder', 'src', 'main.js');
  const built = spawnSync(process.execPath, [builder, '--out', outDir, '--models', toBuild.join(',')], { encoding: 'utf8' });
  if (built.status !== 0) throw new Error(`model builder: ${built.stderr}`);
}

/**
 * Below the ports that the system gives to outgoing connections (from 32768 on), so that none of them takes it before the node listens.
 * Not PORT=0: a scheduler that starts again finds the running API by the port.
 */
export async function freePort(): Promise<number> {
  const port = 20_000 + Math.floor(Math.random() * 12_000);
  const server = createServer();
  const isFree = await new Promise<boolean>((resolve) =>
    server.once('error', () => resolve(false)).listen(port, '127.0.0.1', () => resolve(true)),
  );
  if (!isFree) return freePort();
  await new Promise<void>((resolve) => server.close(() => resolve()));
  return port;
}

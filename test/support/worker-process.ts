import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';
import type { WorkerPlan } from '@app/contracts';
import type { WorkerFixture } from './worker-fixture';

const ROOT = join(__dirname, '..', '..');

/** apps/worker as the scheduler runs it, a process of its own. */
export class WorkerProcess {
  /** What it wrote on standard error so far. */
  errors = '';
  private readonly exited: Promise<[number | null, NodeJS.Signals | null]>;

  private constructor(readonly child: ChildProcess) {
    this.exited = once(child, 'exit') as Promise<[number | null, NodeJS.Signals | null]>;
    child.stderr?.on('data', (chunk: Buffer) => (this.errors += chunk.toString()));
  }

  static start(fixture: WorkerFixture, plan: Pick<WorkerPlan, 'id'>): WorkerProcess {
    const args = ['--require', join(ROOT, 'test/fixtures/register-ts.cjs'), join(ROOT, 'apps/worker/src/main.ts'), '--worker', plan.id];
    const { runDir, modelsDir } = fixture;
    const places = { RUN_DIR: runDir, DATA_DIR: runDir, MODELS_DIR: modelsDir };
    const env = { ...process.env, ...places, LOG_LEVEL: 'warn', INTERLEAVE_SUPERVISED: '1' };
    return new WorkerProcess(spawn(process.execPath, args, { env, cwd: fixture.runDir, stdio: ['ignore', 'inherit', 'pipe'] }));
  }

  /** Resolves with how it ended: `exit 0`, `SIGKILL`. */
  async end(): Promise<string> {
    const [code, signal] = await this.exited;
    return signal ?? `exit ${code}`;
  }

  async kill(): Promise<void> {
    this.child.kill('SIGKILL');
    await this.exited;
  }
}

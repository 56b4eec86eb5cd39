import { spawn, type ChildProcess } from 'node:child_process';
import { cpSync, existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { SupervisedProcessStatus } from '@app/contracts';
import { fetchStatus } from '@app/process';
import { until } from '../../test/support/stack';
import { command, pinProcess } from '../support/layout';

/** What distinguishes the nodes that are compared. */
export interface NodeSpec {
  name: string;
  /** Partitions of `interleave.yaml`. */
  partitions: object[];
  /** False: every executor is an ordinary thread of nice 0. The product has no such setting: it is taken from the threads. */
  priorities: boolean;
}

export interface NodeFolders {
  /** Holds one data directory for each node. */
  dir: string;
  modelsDir: string;
  /** Another node that has measured the models' costs; null: this one measures them, if an earlier start has not. */
  costsFrom: BenchNode | null;
}

const READY_MS_MAX = 60_000;
const CALIBRATED_MS_MAX = 600_000;
const EXIT_MS_MAX = 40_000;
const OUTPUT_CHARACTERS_MAX = 20_000;

/** Scheduler and workers of one node, started as a user starts them, without api, runner and Redis. */
export class BenchNode {
  private workers: SupervisedProcessStatus[] = [];
  private output = '';

  private constructor(
    readonly spec: NodeSpec,
    private readonly dataDir: string,
    private readonly up: ChildProcess,
  ) {
    for (const stream of [up.stdout, up.stderr])
      stream?.on('data', (part: Buffer) => (this.output = (this.output + part.toString()).slice(-OUTPUT_CHARACTERS_MAX)));
    // A bench that is ended early leaves no node behind.
    process.once('exit', () => up.kill('SIGTERM'));
  }

  static async start(spec: NodeSpec, { dir, modelsDir, costsFrom }: NodeFolders, systemCpu: number): Promise<BenchNode> {
    const dataDir = join(dir, spec.name);
    mkdirSync(dataDir, { recursive: true });
    if (costsFrom !== null) cpSync(join(costsFrom.dataDir, 'calibration'), join(dataDir, 'calibration'), { recursive: true });
    const configPath = join(dataDir, 'interleave.yaml');
    writeFileSync(configPath, JSON.stringify({ partitions: spec.partitions }));
    const up = spawn(process.execPath, [join('bin', 'interleave.js'), 'up', '--only', 'worker'], {
      env: { ...process.env, DATA_DIR: dataDir, MODELS_DIR: modelsDir, CONFIG: configPath, LOG_LEVEL: 'warn' },
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    const node = new BenchNode(spec, dataDir, up);
    try {
      await node.ready();
      pinProcess(up.pid ?? 0, systemCpu);
      if (!spec.priorities) node.takePriorities();
    } catch (error) {
      await node.stop();
      throw error;
    }
    return node;
  }

  get runDir(): string {
    return join(this.dataDir, 'run');
  }

  /** CPUs of its executors, ascending. */
  get cpus(): number[] {
    const partitions = this.spec.partitions as { cpus: number[] }[];
    return partitions.flatMap(({ cpus }) => cpus).sort((a, b) => a - b);
  }

  workerPids(lane: 'realtime' | 'batch'): number[] {
    return this.workers.flatMap(({ id, pid }) => (id.endsWith(`-${lane}`) && pid !== null ? [pid] : []));
  }

  async stop(): Promise<void> {
    if (this.up.exitCode !== null || this.up.signalCode !== null) return;
    this.up.kill('SIGTERM');
    await until(
      async () => this.up.exitCode !== null || this.up.signalCode !== null,
      EXIT_MS_MAX,
      () => `node ${this.spec.name} did not end`,
    );
  }

  /** Every model of every worker is loaded, and what its runs cost is known. */
  private async ready(): Promise<void> {
    const why = () => `node ${this.spec.name} is not ready:\n${this.output}`;
    const socket = (id: string) => join(this.runDir, `${id}.status.sock`);
    const processes = async () => (await fetchStatus('scheduler', socket('scheduler'), 5000)).processes;
    await until(async () => (await processes()).every(({ state }) => state === 'ready'), READY_MS_MAX, why);
    this.workers = await processes();
    const { preemption } = await fetchStatus('scheduler', socket('scheduler'), 5000);
    if (preemption.verdict !== 'holds') throw new Error(`node ${this.spec.name}: ${preemption.reason}`);
    const isMeasured = async ({ id }: SupervisedProcessStatus) =>
      (await fetchStatus('worker', socket(id), 5000)).calibration.every(({ state }) => state === 'measured');
    await until(async () => (await Promise.all(this.workers.map(isMeasured))).every(Boolean), CALIBRATED_MS_MAX, why);
  }

  private takePriorities(): void {
    for (const pid of [...this.workerPids('realtime'), ...this.workerPids('batch')]) {
      for (const tid of readdirSync(`/proc/${pid}/task`)) {
        command('chrt', ['--other', '--pid', '0', tid]);
        command('renice', ['--priority', '0', '--pid', tid]);
      }
    }
  }
}

/** Directories of a worker's threads below /proc. */
export function threadsOf(pid: number): { directory: string; isExecutor: boolean; keepsAwake: boolean }[] {
  const task = `/proc/${pid}/task`;
  if (!existsSync(task)) throw new Error(`worker ${pid} has ended`);
  return readdirSync(task).map((tid) => {
    const directory = join(task, tid);
    const name = readFileSync(join(directory, 'comm'), 'utf8');
    return { directory, isExecutor: name.startsWith('executor-'), keepsAwake: name.startsWith('awake-') };
  });
}

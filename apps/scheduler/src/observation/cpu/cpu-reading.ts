import { readdirSync, readFileSync } from 'node:fs';
import type { Lane } from '@app/contracts';

/** Of one CPU since the machine started, in ms. */
export interface CpuTimes {
  totalMs: number;
  idleMs: number;
}

/** CPU time of executors since they started, in ms. */
export interface ExecutorTime {
  /** Tells an executor from all others, earlier ones too. */
  thread: string;
  cpu: number;
  lane: Lane;
  runMs: number;
}

export interface CpuReading {
  cpus: Map<number, CpuTimes>;
  executors: ExecutorTime[];
}

/** USER_HZ of every Linux that the node runs on. */
const TICK_MS = 10;
const NS_PER_MS = 1e6;
/** As `libs/native/src/run/engine.cc` names them; the kernel keeps 15 characters. */
/** Those of runs of several threads have helpers beside them. */
const EXECUTOR = /^(?:executor|helper)-(\d+)$/;

/** `/proc/stat`; the time of guests is in `user` already. Empty where the kernel says nothing of single CPUs. */
export function parseCpuTimes(stat: string): Map<number, CpuTimes> {
  const cpus = new Map<number, CpuTimes>();
  for (const line of stat.split('\n')) {
    const match = /^cpu(\d+) (.*)$/.exec(line);
    if (match === null) {
      if (cpus.size > 0) break;
      continue;
    }
    const ticks = (match[2] ?? '').split(' ').slice(0, 8).map(Number);
    const totalMs = ticks.reduce((sum, each) => sum + each, 0) * TICK_MS;
    cpus.set(Number(match[1]), { totalMs, idleMs: ((ticks[3] ?? 0) + (ticks[4] ?? 0)) * TICK_MS });
  }
  return cpus;
}

interface Executor {
  task: string;
  cpu: number;
}

/** Reads what CPUs and executors did. Which threads are executors is looked up when the number of a worker's threads changes. */
export class CpuReader {
  private readonly executors = new Map<number, { tasks: number; found: Executor[] }>();

  /** `workers`: those that run. Null: the kernel does not tell. */
  read(workers: readonly { pid: number; lane: Lane }[]): CpuReading | null {
    try {
      for (const pid of this.executors.keys()) if (!workers.some((worker) => worker.pid === pid)) this.executors.delete(pid);
      const cpus = parseCpuTimes(readFileSync('/proc/stat', 'utf8'));
      return cpus.size === 0 ? null : { cpus, executors: workers.flatMap((worker) => this.timesOf(worker)) };
    } catch {
      return null;
    }
  }

  private timesOf({ pid, lane }: { pid: number; lane: Lane }): ExecutorTime[] {
    try {
      const tasks = readdirSync(`/proc/${pid}/task`);
      let known = this.executors.get(pid);
      if (known?.tasks !== tasks.length) this.executors.set(pid, (known = { tasks: tasks.length, found: executorsOf(pid, tasks) }));
      return known.found.map(({ task, cpu }) => ({ thread: `${pid}/${task}`, cpu, lane, runMs: runMsOf(`/proc/${pid}/task/${task}`) }));
    } catch {
      // It has just ended.
      this.executors.delete(pid);
      return [];
    }
  }
}

function executorsOf(pid: number, tasks: readonly string[]): Executor[] {
  return tasks.flatMap((task) => {
    const cpu = EXECUTOR.exec(readFileSync(`/proc/${pid}/task/${task}/comm`, 'utf8').trim())?.[1];
    return cpu === undefined ? [] : [{ task, cpu: Number(cpu) }];
  });
}

/** `schedstat` begins with the ns on a CPU. */
function runMsOf(directory: string): number {
  return Number(readFileSync(`${directory}/schedstat`, 'utf8').split(' ')[0]) / NS_PER_MS;
}

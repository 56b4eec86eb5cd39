import { readdirSync, readFileSync } from 'node:fs';
import type { Lane } from '@app/contracts';

/** Of one CPU since the machine started, in ms. */
export interface CpuTimes {
  totalMs: number;
  idleMs: number;
}

/** What a thread that is pinned to a CPU is for: runs of a lane, or that the CPU does not sleep while nothing else wants it. */
export type CpuWork = Lane | 'awake';

/** CPU time of such a thread since it started, in ms. */
export interface ThreadTime {
  /** Tells it from all others, earlier ones too. */
  thread: string;
  cpu: number;
  work: CpuWork;
  runMs: number;
}

export interface CpuReading {
  cpus: Map<number, CpuTimes>;
  threads: ThreadTime[];
}

/** USER_HZ of every Linux that the node runs on. */
const TICK_MS = 10;
const NS_PER_MS = 1e6;
/**
 * As `libs/native/src/run/engine.cc` and `isolation/awake_loops.cc` name them; the kernel keeps 15 characters. Executors of runs of several
 * threads have helpers.
 */
const PINNED = /^(executor|helper|awake)-(\d+)$/;

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

interface PinnedThread {
  task: string;
  cpu: number;
  isAwakeLoop: boolean;
}

/** Reads what CPUs and threads of workers did. Which threads are pinned is looked up when the number of a worker's threads changes. */
export class CpuReader {
  private readonly pinned = new Map<number, { tasks: number; found: PinnedThread[] }>();

  /** `workers`: those that run. Null: the kernel does not tell. */
  read(workers: readonly { pid: number; lane: Lane }[]): CpuReading | null {
    try {
      for (const pid of this.pinned.keys()) if (!workers.some((worker) => worker.pid === pid)) this.pinned.delete(pid);
      const cpus = parseCpuTimes(readFileSync('/proc/stat', 'utf8'));
      return cpus.size === 0 ? null : { cpus, threads: workers.flatMap((worker) => this.timesOf(worker)) };
    } catch {
      return null;
    }
  }

  private timesOf({ pid, lane }: { pid: number; lane: Lane }): ThreadTime[] {
    try {
      const tasks = readdirSync(`/proc/${pid}/task`);
      let known = this.pinned.get(pid);
      if (known?.tasks !== tasks.length) this.pinned.set(pid, (known = { tasks: tasks.length, found: pinnedOf(pid, tasks) }));
      return known.found.map(({ task, cpu, isAwakeLoop }) => {
        return { thread: `${pid}/${task}`, cpu, work: isAwakeLoop ? 'awake' : lane, runMs: runMsOf(`/proc/${pid}/task/${task}`) };
      });
    } catch {
      // It has just ended.
      this.pinned.delete(pid);
      return [];
    }
  }
}

function pinnedOf(pid: number, tasks: readonly string[]): PinnedThread[] {
  return tasks.flatMap((task) => {
    const [, kind, cpu] = PINNED.exec(readFileSync(`/proc/${pid}/task/${task}/comm`, 'utf8').trim()) ?? [];
    return cpu === undefined ? [] : [{ task, cpu: Number(cpu), isAwakeLoop: kind === 'awake' }];
  });
}

/** `schedstat` begins with the ns on a CPU. */
function runMsOf(directory: string): number {
  return Number(readFileSync(`${directory}/schedstat`, 'utf8').split(' ')[0]) / NS_PER_MS;
}

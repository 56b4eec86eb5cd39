import { existsSync, readdirSync, readFileSync } from 'node:fs';
import type { Stack } from '../../test/support/stack';

const NS_PER_MS = 1e6;

/** Of a process, in ms of each second: on a CPU, and runnable while others had it. */
export interface ProcessCpu {
  process: string;
  onCpu: number;
  waiting: number;
}

/** Reads what the kernel counts of the threads of a node's processes (Documentation/scheduler/sched-stats.rst). */
export class CpuWatch {
  private readonly startMs = performance.now();
  private readonly before: Map<string, [number, number]>;

  private constructor(private readonly pids: Map<string, number>) {
    this.before = this.read();
  }

  static async begin(stack: Stack): Promise<CpuWatch> {
    const processes = await stack.processes();
    const pids = processes.flatMap(({ id, pid }): [string, number][] => (pid === null ? [] : [[id, pid]]));
    return new CpuWatch(new Map([...pids, ['scheduler', stack.schedulerPid]]));
  }

  end(): ProcessCpu[] {
    const seconds = (performance.now() - this.startMs) / 1000;
    const after = this.read();
    return [...this.before].map(([name, [onCpu, waiting]]) => {
      const [onCpuAfter = onCpu, waitingAfter = waiting] = after.get(name) ?? [];
      return { process: name, onCpu: (onCpuAfter - onCpu) / seconds, waiting: (waitingAfter - waiting) / seconds };
    });
  }

  static mean(turns: ProcessCpu[][]): ProcessCpu[] {
    const meanOf = (name: string, figure: 'onCpu' | 'waiting') =>
      turns.reduce((sum, turn) => sum + (turn.find((each) => each.process === name)?.[figure] ?? 0), 0) / turns.length;
    return (turns[0] ?? []).map((each) => ({
      process: each.process,
      onCpu: meanOf(each.process, 'onCpu'),
      waiting: meanOf(each.process, 'waiting'),
    }));
  }

  /** By process and, in workers, by kind of thread. */
  private read(): Map<string, [number, number]> {
    const sums = new Map<string, [number, number]>();
    for (const [id, pid] of this.pids) {
      const folder = `/proc/${pid}/task`;
      for (const thread of existsSync(folder) ? readdirSync(folder) : []) {
        const kind = readFileSync(`${folder}/${thread}/comm`, 'utf8').trim().replace(/[-.\d]+$/, ''); // oxfmt-ignore
        const name = kind === 'executor' ? `${id} executors` : thread === String(pid) ? id : `${id} other threads`;
        const [onCpuNs = 0, waitingNs = 0] = readFileSync(`${folder}/${thread}/schedstat`, 'utf8').split(' ').map(Number);
        const [onCpu, waiting] = sums.get(name) ?? [0, 0];
        sums.set(name, [onCpu + onCpuNs / NS_PER_MS, waiting + waitingNs / NS_PER_MS]);
      }
    }
    return sums;
  }
}

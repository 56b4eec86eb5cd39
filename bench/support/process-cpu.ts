import { readFileSync } from 'node:fs';
import type { Stack } from '../../test/support/stack';

/** The kernel's USER_HZ, which is 100 wherever Linux runs. */
const TICK_MS = 10;

/** Behind the name of the program, which may hold anything: state, 10 more, utime, stime, and the two of children that have ended. */
function timesOf(pid: number): number[] {
  const stat = readFileSync(`/proc/${pid}/stat`, 'utf8');
  return stat
    .slice(stat.lastIndexOf(')') + 2)
    .split(' ')
    .slice(11, 15)
    .map(Number);
}

/** CPU time of a process since its start, of all its threads, in steps of 10 ms. */
export function cpuMsOf(pid: number): number {
  const [user = 0, system = 0] = timesOf(pid);
  return (user + system) * TICK_MS;
}

/** CPU time of the processes of a node by name, in ms; `runner-children`: those of the runner that have ended. */
export class NodeCpu {
  private constructor(readonly pids: Readonly<Record<string, number>>) {}

  static async of(stack: Stack): Promise<NodeCpu> {
    const processes = await stack.processes();
    return new NodeCpu(Object.fromEntries(processes.flatMap(({ id, pid }) => (pid === null ? [] : [[id, pid] as const]))));
  }

  now(): Record<string, number> {
    const times = Object.fromEntries(Object.entries(this.pids).map(([id, pid]) => [id, cpuMsOf(pid)]));
    const [, , user = 0, system = 0] = timesOf(this.pids['runner'] ?? 0);
    return { ...times, 'runner-children': (user + system) * TICK_MS };
  }
}

import { readFileSync } from 'node:fs';

/** The kernel's USER_HZ, which is 100 wherever Linux runs. */
const TICK_MS = 10;

/** CPU time of a process since its start, of all its threads, in steps of 10 ms. */
export function cpuMsOf(pid: number): number {
  const stat = readFileSync(`/proc/${pid}/stat`, 'utf8');
  // Behind the name of the program, which may hold anything: state, 10 more, utime, stime.
  const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
  return (Number(fields[11]) + Number(fields[12])) * TICK_MS;
}

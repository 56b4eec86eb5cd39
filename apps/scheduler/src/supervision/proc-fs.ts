import { readFileSync } from 'node:fs';

/** A process that cannot be mistaken for a later one with the same pid. */
export interface ProcessIdentity {
  pid: number;
  /** Boot id and start time in clock ticks since boot. */
  startKey: string;
}

const bootId = readFileSync('/proc/sys/kernel/random/boot_id', 'utf8').trim();

/** Null when no process has this pid or it is a zombie. */
export function identityOf(pid: number): ProcessIdentity | null {
  const fields = statFields(pid);
  if (fields === null || fields.state === 'Z' || fields.state === 'X') return null;
  return { pid, startKey: `${bootId}:${fields.startTicks}` };
}

export function isRunning({ pid, startKey }: ProcessIdentity): boolean {
  return identityOf(pid)?.startKey === startKey;
}

/** The session that a process belongs to; null when it is gone. */
export function sessionOf(pid: number): number | null {
  return statFields(pid)?.session ?? null;
}

/** `proc_pid_stat(5)`; the command in parentheses may hold anything, so fields are counted from its end. */
function statFields(pid: number): { state: string; session: number; startTicks: string } | null {
  let stat: string;
  try {
    stat = readFileSync(`/proc/${pid}/stat`, 'utf8');
  } catch {
    return null;
  }
  const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
  return { state: fields[0] ?? '', session: Number(fields[3]), startTicks: fields[19] ?? '' };
}

import { readdirSync, readFileSync } from 'node:fs';

/** What threads did with CPUs since they began. */
export interface CpuUse {
  runMs: number;
  /** Ready to run, while others had the CPU; grows when the wait ends. */
  waitMs: number;
  /** One of them runs, or waits for a CPU, at this moment. */
  isRunnable: boolean;
}

/** Less of the time than this on a CPU, or waiting for one, is sleep. */
const ASLEEP_SHARE = 0.1;
const NS_PER_MS = 1e6;

/** They are busy while nothing else is. */
const AWAKE_LOOP = /^awake-/;

/**
 * CPU use of the main thread, where an event loop runs, or of all threads but those that keep CPUs awake; null when the kernel does not
 * tell.
 */
export function readCpuUse(pid: number, threads: 'main' | 'all'): CpuUse | null {
  try {
    const folders = (threads === 'main' ? [String(pid)] : readdirSync(`/proc/${pid}/task`)).map((task) => `/proc/${pid}/task/${task}`);
    const uses = folders.filter((folder) => threads === 'main' || !isAwakeLoop(folder)).map(threadUse);
    const sum = (of: (use: CpuUse) => number): number => uses.reduce((total, use) => total + of(use), 0);
    return { runMs: sum(({ runMs }) => runMs), waitMs: sum(({ waitMs }) => waitMs), isRunnable: uses.some(({ isRunnable }) => isRunnable) };
  } catch {
    return null;
  }
}

/** CPU time of a process that does not answer, for `elapsedMs`; null: it sleeps, or nothing is known. */
export function busyMs(before: CpuUse | null, now: CpuUse | null, elapsedMs: number): number | null {
  if (before === null || now === null) return null;
  const runMs = now.runMs - before.runMs;
  const activeMs = runMs + now.waitMs - before.waitMs;
  return now.isRunnable || activeMs >= ASLEEP_SHARE * elapsedMs ? runMs : null;
}

const isAwakeLoop = (folder: string): boolean => AWAKE_LOOP.test(readFileSync(`${folder}/comm`, 'utf8'));

/** `schedstat`: ns on a CPU, ns in a run queue, time slices. */
function threadUse(directory: string): CpuUse {
  const [runNs = 0, waitNs = 0] = readFileSync(`${directory}/schedstat`, 'utf8').split(' ').map(Number);
  const stat = readFileSync(`${directory}/stat`, 'utf8');
  return { runMs: runNs / NS_PER_MS, waitMs: waitNs / NS_PER_MS, isRunnable: stat[stat.lastIndexOf(')') + 2] === 'R' };
}

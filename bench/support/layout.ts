import { spawnSync } from 'node:child_process';

/** Which CPUs do what, so that those who send and measure do not take part in what is measured. */
export interface Layout {
  /** Load generators and processes without executors; in the split of `bench/mixed` batch executors too. */
  systemCpu: number;
  /** The executors' CPUs. */
  partitionCpus: number[];
  /** Divided by the static split of `bench/mixed`: half live, half batch. */
  splitCpus: number[];
}

/** The first CPU is the system's. A partition of one CPU cannot be divided, so the split takes the system's CPU as well. */
export function layoutOf(cpuCount: number): Layout {
  if (cpuCount < 2)
    throw new Error(`expected at least 2 CPUs, one for the load generators and one for the executors, but received ${cpuCount}`);
  const all = Array.from({ length: cpuCount }, (_, cpu) => cpu);
  const partitionCpus = all.slice(1);
  return { systemCpu: 0, partitionCpus, splitCpus: partitionCpus.length > 1 ? partitionCpus : all };
}

/** Moves every thread of a running process. */
export function pinProcess(pid: number, cpu: number): void {
  command('taskset', ['--all-tasks', '--cpu-list', '--pid', String(cpu), String(pid)]);
}

/** Runs a command of the system to its end; throws what it wrote when it fails. */
export function command(name: string, args: string[]): void {
  const { status, stderr, error } = spawnSync(name, args, { encoding: 'utf8' });
  if (status !== 0)
    throw new Error(`${name} ${args.join(' ')}: ${error?.message ?? stderr} (needs util-linux, and root to raise priorities)`);
}

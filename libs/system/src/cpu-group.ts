import { existsSync, readFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { autogroupEnabled } from './kernel';

/** Within what the kernel shares out CPU time; priorities of threads hold among processes that agree in both. */
export interface CpuGroup {
  /** Null where there is none: switched off, or the process has a CPU cgroup, which takes the place of autogroups. */
  autogroup: string | null;
  cgroup: string;
}

const CGROUP_ROOT = '/sys/fs/cgroup';

/** Null when the process is gone. */
export function readCpuGroup(pid: number): CpuGroup | null {
  try {
    const cgroup = cpuCgroupOf(readFileSync(`/proc/${pid}/cgroup`, 'utf8'), existsSync);
    const isGrouped = autogroupEnabled() && isMachineRoot(cgroup, existsSync);
    return { autogroup: isGrouped ? (readFileSync(`/proc/${pid}/autogroup`, 'utf8').trim().split(' ')[0] ?? null) : null, cgroup };
  } catch {
    return null;
  }
}

/** In a cgroup namespace `/` is some group of the machine; the files tell which. */
export function isMachineRoot(cgroup: string, exists: (path: string) => boolean): boolean {
  const version1 = ['cpu', 'cpu,cpuacct'].map((name) => join(CGROUP_ROOT, name)).find(exists);
  return cgroup === '/' && (version1 === undefined ? !exists(join(CGROUP_ROOT, 'cpu.weight')) : exists(join(version1, 'release_agent')));
}

/**
 * The cgroup of the CPU controller in a text of `/proc/<pid>/cgroup`: of version 1 where it has that controller, else the
 * nearest one of version 2 that the controller knows.
 */
export function cpuCgroupOf(text: string, exists: (path: string) => boolean): string {
  const lines = text.split('\n').map((line) => /^\d+:([^:]*):(\/.*)$/.exec(line));
  const version1 = lines.find((line) => line?.[1]?.split(',').includes('cpu'))?.[2];
  if (version1 !== undefined) return version1;
  let group = lines.find((line) => line?.[1] === '')?.[2] ?? '/';
  while (group !== '/' && !exists(join(CGROUP_ROOT, group, 'cpu.weight'))) group = dirname(group);
  return group;
}

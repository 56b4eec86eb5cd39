import { readFileSync } from 'node:fs';
import { join } from 'node:path';

/** What the kernel says about CPUs, as the texts that it says it in, so that other machines' answers can be recorded. */
export interface CpuSources {
  /** `/proc/self/status`. */
  processStatus: string;
  /** `cpuset.cpus.effective` of this process's cgroup; null where there is none. */
  cgroupCpus: string | null;
  /** `/sys/devices/system/cpu/online`. */
  online: string;
}

/** Logical CPU numbers, ascending. */
export interface Topology {
  online: number[];
  /** What this process may use: scheduling affinity within the cgroup's CPU set; never the machine's number of CPUs. */
  effective: number[];
}

/** Reads this machine's topology. Throws when /proc or /sys is not mounted. */
export function readTopology(): Topology {
  return topologyOf({
    processStatus: readFileSync('/proc/self/status', 'utf8'),
    cgroupCpus: readCgroupCpus(),
    online: readFileSync('/sys/devices/system/cpu/online', 'utf8'),
  });
}

/** Throws when the sources name no CPU at all. */
export function topologyOf(sources: CpuSources): Topology {
  const allowed = /^Cpus_allowed_list:\s*(\S+)$/m.exec(sources.processStatus)?.[1];
  if (allowed === undefined) throw new Error('/proc/self/status: no line Cpus_allowed_list');
  const online = parseCpuList(sources.online);
  const cgroup = sources.cgroupCpus === null ? [] : parseCpuList(sources.cgroupCpus);
  const effective = parseCpuList(allowed).filter((cpu) => online.includes(cpu) && (cgroup.length === 0 || cgroup.includes(cpu)));
  if (effective.length === 0) throw new Error(`no CPU is both allowed (${allowed}) and online (${sources.online.trim()})`);
  return { online, effective };
}

export interface CpuModel {
  name: string;
  /** Instruction sets and the like, sorted. */
  features: string[];
}

/** What kind of CPU this is, as far as the speed of a model depends on it. */
export function readCpuModel(): CpuModel {
  return cpuModelOf(readFileSync('/proc/cpuinfo', 'utf8'));
}

/** Of the first CPU that `/proc/cpuinfo` lists. ARM has no model name: implementer, part and revision stand for it. */
export function cpuModelOf(cpuInfo: string): CpuModel {
  const field = (name: string): string => new RegExp(`^${name}\\s*:[ \\t]*(.*)$`, 'm').exec(cpuInfo)?.[1]?.trim() ?? '';
  const arm = ['CPU implementer', 'CPU part', 'CPU variant', 'CPU revision'].map(field).filter(Boolean).join(' ');
  return { name: field('model name') || arm, features: (field('flags') || field('Features')).split(' ').filter(Boolean).sort() };
}

/** The kernel's list format, for example `0-3,8,10-11`. Throws for anything else. */
export function parseCpuList(text: string): number[] {
  const cpus = new Set<number>();
  for (const range of text.trim().split(',').filter(Boolean)) {
    const match = /^(\d+)(?:-(\d+))?$/.exec(range);
    if (!match) throw new Error(`CPU list: expected ranges as in 0-3,8 but received ${JSON.stringify(text)}`);
    for (let cpu = Number(match[1]); cpu <= Number(match[2] ?? match[1]); cpu++) cpus.add(cpu);
  }
  return [...cpus].sort((a, b) => a - b);
}

/** The reverse of `parseCpuList`. */
export function formatCpuList(cpus: readonly number[]): string {
  const ranges: string[] = [];
  for (let first = 0; first < cpus.length; ) {
    let last = first;
    while (cpus[last + 1] === (cpus[last] ?? 0) + 1) last++;
    ranges.push(first === last ? `${cpus[first]}` : `${cpus[first]}-${cpus[last]}`);
    first = last + 1;
  }
  return ranges.join(',');
}

/** The effective set of the nearest cgroup v2 that has the cpuset controller. */
function readCgroupCpus(): string | null {
  const path = /^0::(\/.*)$/m.exec(readText('/proc/self/cgroup') ?? '')?.[1];
  for (let group = path; group !== undefined; group = group === '/' ? undefined : join(group, '..')) {
    const cpus = readText(join('/sys/fs/cgroup', group, 'cpuset.cpus.effective'));
    if (cpus !== null) return cpus;
  }
  return null;
}

function readText(path: string): string | null {
  try {
    return readFileSync(path, 'utf8');
  } catch {
    return null;
  }
}

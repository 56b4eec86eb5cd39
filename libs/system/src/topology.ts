import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { parseCpuList } from './cpus';

/** The text of a file below /proc or /sys; null where it is missing or unreadable. A recorded machine answers from a table. */
export type ReadKernelFile = (path: string) => string | null;

/** Where an online CPU is. */
export interface CpuPlace {
  cpu: number;
  /** The online CPUs of its core, itself included, ascending: more than one with hyper-threads. */
  siblings: number[];
  packageId: number;
  /** NUMA node. */
  nodeId: number;
  /** Lowest CPU that shares its last-level cache; its own number where the kernel tells of no cache. */
  cacheId: number;
}

/** Logical CPU numbers, ascending. */
export interface Topology {
  online: number[];
  /** What this process may use: scheduling affinity within the cgroup's CPU set; never the machine's number of CPUs. */
  effective: number[];
  /** One for each of `online`. */
  places: CpuPlace[];
  /** What this process may use: the machine's memory, or a smaller limit of its cgroup or one above it. */
  memoryBytes: number;
}

/** The kernel numbers the caches of a CPU by level. */
const CACHES_MAX = 8;
const CPUS = '/sys/devices/system/cpu';
const NODES = '/sys/devices/system/node';
/** A path of cgroups is climbed no further. */
const CGROUP_DEPTH_MAX = 64;

/** Reads this machine's topology. Throws when /proc or /sys is not mounted. */
export function readTopology(): Topology {
  return topologyOf(readText);
}

/**
 * Throws when CPUs or memory cannot be told, or when no CPU may be used. Where the kernel says nothing about cores or NUMA
 * nodes (some sandboxes), each CPU is a core of its own, and all are in package 0 on node 0.
 */
export function topologyOf(read: ReadKernelFile): Topology {
  const onlineText = required(read, `${CPUS}/online`);
  const online = parseCpuList(onlineText);
  const allowed = /^Cpus_allowed_list:\s*(\S+)$/m.exec(required(read, '/proc/self/status'))?.[1];
  if (allowed === undefined) throw new Error('/proc/self/status: no line Cpus_allowed_list');
  const cgroup = parseCpuList(nearest(read, '/sys/fs/cgroup', cgroupPath(read, ''), 'cpuset.cpus.effective') ?? '');
  const effective = parseCpuList(allowed).filter((cpu) => online.includes(cpu) && (cgroup.length === 0 || cgroup.includes(cpu)));
  if (effective.length === 0) throw new Error(`no CPU is both allowed (${allowed}) and online (${onlineText.trim()})`);
  return { online, effective, places: placesOf(read, online), memoryBytes: memoryBytes(read) };
}

function placesOf(read: ReadKernelFile, online: number[]): CpuPlace[] {
  const nodeOf = new Map<number, number>();
  for (const node of parseCpuList(read(`${NODES}/online`) ?? '')) {
    for (const cpu of parseCpuList(read(`${NODES}/node${node}/cpulist`) ?? '')) nodeOf.set(cpu, node);
  }
  return online.map((cpu) => {
    const folder = `${CPUS}/cpu${cpu}/topology`;
    const siblings = parseCpuList(read(`${folder}/thread_siblings_list`) ?? `${cpu}`);
    // -1 stands for a package that the kernel does not know.
    const packageId = Math.max(0, Number(read(`${folder}/physical_package_id`) ?? 0));
    const cacheId = lastLevelCache(read, cpu);
    return { cpu, siblings: siblings.filter((sibling) => online.includes(sibling)), packageId, nodeId: nodeOf.get(cpu) ?? 0, cacheId };
  });
}

function lastLevelCache(read: ReadKernelFile, cpu: number): number {
  let shared: string | null = null;
  for (let index = 0; index < CACHES_MAX; index++) shared = read(`${CPUS}/cpu${cpu}/cache/index${index}/shared_cpu_list`) ?? shared;
  return parseCpuList(shared ?? `${cpu}`)[0] ?? cpu;
}

function memoryBytes(read: ReadKernelFile): number {
  const kib = /^MemTotal:\s*(\d+) kB$/m.exec(required(read, '/proc/meminfo'))?.[1];
  if (kib === undefined) throw new Error('/proc/meminfo: no line MemTotal');
  const limits = [
    ...upwards(read, '/sys/fs/cgroup', cgroupPath(read, ''), 'memory.max'),
    ...upwards(read, '/sys/fs/cgroup/memory', cgroupPath(read, 'memory'), 'memory.limit_in_bytes'),
  ];
  // "max" is no number, and a version 1 group without a limit says a number beyond any machine.
  return Math.min(Number(kib) * 1024, ...limits.map(Number).filter(Number.isFinite));
}

/** CPUs' worth of time that the cgroup of this process or one above it may use; null without a limit. */
export function readCpuQuota(): number | null {
  return cpuQuotaOf(readText);
}

export function cpuQuotaOf(read: ReadKernelFile): number | null {
  const quotas = upwards(read, '/sys/fs/cgroup', cgroupPath(read, ''), 'cpu.max').map((text) => {
    const [quotaUs = 'max', periodUs = '100000'] = text.split(' ');
    return quotaUs === 'max' ? Infinity : Number(quotaUs) / Number(periodUs);
  });
  const version1 = ['cpu', 'cpu,cpuacct'].flatMap((mount) => quotasOfVersion1(read, join('/sys/fs/cgroup', mount)));
  const least = Math.min(Infinity, ...quotas, ...version1);
  return least === Infinity ? null : least;
}

/** Without a limit the quota is -1. */
function quotasOfVersion1(read: ReadKernelFile, mount: string): number[] {
  const of = (name: string): number[] => upwards(read, mount, cgroupPath(read, 'cpu'), name).map(Number);
  const periodsUs = of('cpu.cfs_period_us');
  return of('cpu.cfs_quota_us').flatMap((quotaUs, i) => (quotaUs > 0 ? [quotaUs / (periodsUs[i] ?? 100_000)] : []));
}

/** This process's path below a hierarchy of version 1 (`controller`) or the one of version 2 (''); null without one. */
function cgroupPath(read: ReadKernelFile, controller: string): string | null {
  const lines = (read('/proc/self/cgroup') ?? '').split('\n').map((line) => /^\d+:([^:]*):(\/.*)$/.exec(line));
  return lines.find((line) => line?.[1]?.split(',').includes(controller))?.[2] ?? null;
}

/** The file `name` of the group at `path` and of each group above it that has one, from the nearest on. */
function upwards(read: ReadKernelFile, root: string, path: string | null, name: string): string[] {
  const texts: string[] = [];
  let group = path;
  for (let depth = 0; group !== null && depth < CGROUP_DEPTH_MAX; depth++) {
    const text = read(join(root, group, name));
    if (text !== null) texts.push(text.trim());
    group = group === '/' ? null : join(group, '..');
  }
  return texts;
}

function nearest(read: ReadKernelFile, root: string, path: string | null, name: string): string | null {
  return upwards(read, root, path, name)[0] ?? null;
}

function required(read: ReadKernelFile, path: string): string {
  const text = read(path);
  if (text === null) throw new Error(`${path} cannot be read; mount /proc and /sys`);
  return text;
}

function readText(path: string): string | null {
  try {
    return readFileSync(path, 'utf8');
  } catch {
    return null;
  }
}

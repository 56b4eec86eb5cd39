import { formatCpuList, topologyOf, type Topology } from '@app/system';

export interface Machine {
  packages: number;
  coresPerPackage: number;
  threadsPerCore: number;
  nodesPerPackage: number;
  memoryGib: number;
  /** Default: all that are there. */
  online?: string;
  /** Affinity of the process; default: what is online. */
  allowed?: string;
  /** `cpuset.cpus.effective` of its cgroup; default: none. */
  cgroup?: string;
  /** `memory.max` of its cgroup; default: none. */
  cgroupMemory?: string;
}

const ONE_CPU: Machine = { packages: 1, coresPerPackage: 1, threadsPerCore: 1, nodesPerPackage: 1, memoryGib: 2 };
const EIGHT_CPUS: Machine = { ...ONE_CPU, coresPerPackage: 8, memoryGib: 32 };

/** Machines as the kernel describes them. */
export const MACHINES = {
  oneCpu: ONE_CPU,
  twoCpus: { ...ONE_CPU, coresPerPackage: 2, memoryGib: 8, cgroup: '0-1\n' },
  eightCpus: EIGHT_CPUS,
  /** 4 cores; CPU n and n + 4 are siblings. */
  eightThreads: { ...EIGHT_CPUS, coresPerPackage: 4, threadsPerCore: 2 },
  /** CPU n and n + 128 are siblings; node 0 is 0-31 and 128-159. */
  twoSockets: { packages: 2, coresPerPackage: 64, threadsPerCore: 2, nodesPerPackage: 2, memoryGib: 512 },
  /** On a machine of 2 packages: 3, 5 and 7-9 on node 0, 40 on node 1; none of their siblings (67 and so on) is allowed. */
  oddContainer: {
    packages: 2,
    coresPerPackage: 32,
    threadsPerCore: 2,
    nodesPerPackage: 1,
    memoryGib: 256,
    allowed: '3,5,7-9,40',
    cgroup: '3,5,7-9,40\n',
    cgroupMemory: '12884901888\n',
  },
  cgroupSmallerThanAffinity: { ...EIGHT_CPUS, cgroup: '2-3\n' },
  cpusOffline: { ...EIGHT_CPUS, online: '0-2,5', allowed: '0-7' },
} satisfies Record<string, Machine>;
export type MachineName = keyof typeof MACHINES;

/** The topology that is read on such a machine. */
export function topologyOfMachine(machine: Machine): Topology {
  const tree = kernelTree(machine);
  return topologyOf((path) => tree.get(path) ?? null);
}

/**
 * The files of /proc and /sys, numbered as Linux numbers CPUs on x86: the first thread of every core of every package, then
 * the second ones.
 */
function kernelTree(machine: Machine): Map<string, string> {
  const { packages, coresPerPackage, threadsPerCore, nodesPerPackage, memoryGib } = machine;
  const cores = packages * coresPerPackage;
  const cpus = Array.from({ length: cores * threadsPerCore }, (_, cpu) => cpu);
  const nodes = packages * nodesPerPackage;
  const online = machine.online ?? formatCpuList(cpus);
  const tree = new Map([
    ['/sys/devices/system/cpu/online', `${online}\n`],
    ['/sys/devices/system/node/online', `0-${nodes - 1}\n`],
    ['/proc/self/status', `Name:\tnode\nCpus_allowed_list:\t${machine.allowed ?? online}\nMems_allowed_list:\t0\n`],
    ['/proc/self/cgroup', '0::/app/worker\n'],
    ['/proc/meminfo', `MemTotal:       ${memoryGib * 1024 * 1024} kB\nMemFree:         1024 kB\n`],
    ['/sys/fs/cgroup/app/memory.max', machine.cgroupMemory ?? 'max\n'],
  ]);
  if (machine.cgroup !== undefined) tree.set('/sys/fs/cgroup/app/cpuset.cpus.effective', machine.cgroup);
  for (let node = 0; node < nodes; node++) {
    const own = cpus.filter((cpu) => Math.floor(((cpu % cores) * nodes) / cores) === node);
    tree.set(`/sys/devices/system/node/node${node}/cpulist`, `${formatCpuList(own)}\n`);
  }
  for (const cpu of cpus) {
    const siblings = cpus.filter((other) => other % cores === cpu % cores);
    tree.set(`/sys/devices/system/cpu/cpu${cpu}/topology/thread_siblings_list`, `${formatCpuList(siblings)}\n`);
    tree.set(`/sys/devices/system/cpu/cpu${cpu}/topology/physical_package_id`, `${Math.floor((cpu % cores) / coresPerPackage)}\n`);
  }
  return tree;
}

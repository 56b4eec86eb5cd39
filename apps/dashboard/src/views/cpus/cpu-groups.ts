import type { CpuShares, CpuView } from '@app/contracts';

/** CPUs of one memory node, by core. */
export interface CpuGroup {
  socket: number;
  numaNode: number;
  cores: CpuView[][];
}

/** By socket, memory node and core, each in order. */
export function groupsOf(cpus: readonly CpuView[]): CpuGroup[] {
  const groups = new Map<string, { socket: number; numaNode: number; cores: Map<number, CpuView[]> }>();
  for (const cpu of cpus) {
    const key = `${cpu.socket}/${cpu.numaNode}`;
    const group = groups.get(key) ?? { socket: cpu.socket, numaNode: cpu.numaNode, cores: new Map<number, CpuView[]>() };
    groups.set(key, group);
    group.cores.set(cpu.core, [...(group.cores.get(cpu.core) ?? []), cpu]);
  }
  return [...groups.values()]
    .sort((a, b) => a.socket - b.socket || a.numaNode - b.numaNode)
    .map(({ cores, ...group }) => ({
      ...group,
      cores: [...cores].sort(([a], [b]) => a - b).map(([, threads]) => threads.sort((a, b) => a.thread - b.thread)),
    }));
}

/** Of the CPUs that the kernel tells of; null: of none. */
export function meanShares(cpus: readonly CpuView[]): CpuShares | null {
  const known = cpus.flatMap(({ shares }) => (shares === null ? [] : [shares]));
  if (known.length === 0) return null;
  const mean = (part: keyof CpuShares): number => known.reduce((sum, shares) => sum + shares[part], 0) / known.length;
  return { live: mean('live'), batch: mean('batch'), system: mean('system'), idle: mean('idle') };
}

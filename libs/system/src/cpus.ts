import { readFileSync } from 'node:fs';

export interface CpuModel {
  name: string;
  /** Instruction sets and the like, sorted. */
  features: string[];
}

/** What kind of CPU this is, as far as the speed of a model depends on it. */
export function readCpuModel(): CpuModel {
  return cpuModelOf(readFileSync('/proc/cpuinfo', 'utf8'));
}

/** Model of the first CPU that `/proc/cpuinfo` lists. ARM has no model name: implementer, part and revision stand for it. */
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
  for (let first = 0; first < cpus.length;) {
    let last = first;
    while (cpus[last + 1] === (cpus[last] ?? 0) + 1) last++;
    ranges.push(first === last ? `${cpus[first]}` : `${cpus[first]}-${cpus[last]}`);
    first = last + 1;
  }
  return ranges.join(',');
}

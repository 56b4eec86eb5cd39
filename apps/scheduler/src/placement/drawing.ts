import { formatCpuList, type CpuPlace } from '@app/system';
import { coresOf } from './partition';
import type { NodePlan } from './plan-node';

/** One for each of the 64 partitions that there can be. */
export const LETTERS = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789#@';
const CORES_PER_LINE = 16;

/** What a cell says, and its background in the 256-colour palette. */
interface Cell {
  text: string;
  colour: number;
}
const SYSTEM: Cell = { text: '..', colour: 240 };
const FORBIDDEN: Cell = { text: '--', colour: 234 };
const COLOURS = { reserved: 124, burstable: 28, live: 100 };

const LEGEND =
  'letter: partition; r reserved, b burstable, l burstable without a batch executor; .. left to the system; -- not for this process';

/**
 * The CPUs of the machine, a cell each, by package and NUMA node; hyper-threads of a core stand below each other. Plain
 * text, or with `colours` a background by class.
 */
export function drawCpus(plan: NodePlan, colours: boolean): string {
  const cellOf = cells(plan);
  const nodes = byNode(plan.topology.places);
  const width = Math.max(...[...nodes.values()].flatMap(lines).map((line) => label(line).length));
  const draw = (line: number[]): string => {
    const drawn = line.map((cpu) => paint(cellOf(cpu), colours)).join(' ');
    return `  ${label(line).padEnd(width)}  ${drawn}`;
  };
  return [...[...nodes].flatMap(([title, places]) => [title, ...lines(places).map(draw)]), LEGEND].join('\n');
}

function byNode(places: readonly CpuPlace[]): Map<string, CpuPlace[]> {
  const nodes = new Map<string, CpuPlace[]>();
  for (const place of [...places].sort((a, b) => a.packageId - b.packageId || a.nodeId - b.nodeId || a.cpu - b.cpu)) {
    const title = `package ${place.packageId}, NUMA node ${place.nodeId}`;
    nodes.set(title, [...(nodes.get(title) ?? []), place]);
  }
  return nodes;
}

const label = (line: number[]): string => `CPU ${formatCpuList([...line].sort((a, b) => a - b))}`;

/** The first threads of some cores, then the second ones of the same cores, and so on. */
function lines(places: readonly CpuPlace[]): number[][] {
  const cores = coresOf(places);
  const result: number[][] = [];
  for (let first = 0; first < cores.length; first += CORES_PER_LINE) {
    const shown = cores.slice(first, first + CORES_PER_LINE);
    const threads = Math.max(...shown.map((core) => core.length));
    for (let thread = 0; thread < threads; thread++) result.push(shown.flatMap((core) => core.slice(thread, thread + 1)));
  }
  return result;
}

function cells({ placement, systemCpus }: NodePlan): (cpu: number) => Cell {
  const cellOf = new Map<number, Cell>(systemCpus.map((cpu) => [cpu, SYSTEM]));
  for (const [index, { id, class: partitionClass, cpus }] of placement.partitions.entries()) {
    const batchCpus = placement.workers.find(({ partitionId, lane }) => partitionId === id && lane === 'batch')?.cpus ?? [];
    for (const cpu of cpus) {
      const kind = partitionClass === 'burstable' && !batchCpus.includes(cpu) ? 'live' : partitionClass;
      cellOf.set(cpu, { text: `${LETTERS[index]}${kind[0]}`, colour: COLOURS[kind] });
    }
  }
  return (cpu) => cellOf.get(cpu) ?? FORBIDDEN;
}

function paint({ text, colour }: Cell, colours: boolean): string {
  return colours ? `\u001b[48;5;${colour}m${text}\u001b[0m` : text;
}

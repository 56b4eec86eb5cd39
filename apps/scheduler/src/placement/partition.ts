import type { FileConfig } from '@app/config';
import { LANES, type Lane, type PartitionPlan } from '@app/contracts';
import { formatCpuList, parseCpuList, type CpuPlace, type Topology } from '@app/system';

type PartitionConfig = FileConfig['partitions'][number];
export type GpuConfig = NonNullable<PartitionConfig['gpu']>;

/** A configuration that this machine cannot hold; the message says why and what to do. */
export class PlacementError extends Error {
  override readonly name = 'PlacementError';
}

export interface Partition extends PartitionPlan {
  lanes: Lane[];
  /** Names and tags of the models that it lists; null: it takes those that no partition lists. */
  models: string[] | null;
  /** For the models that ask for one; null: none. */
  gpu: GpuConfig | null;
  /** Where each lane's executors are; the batch lane may have fewer CPUs than the partition. */
  executorCpus: Record<Lane, number[]>;
}

/** From this many CPUs on, some are left to the system's and our own other processes. */
export const CPUS_WITH_SYSTEM_SHARE_MIN = 4;
const SYSTEM_SHARE = 1 / 8;

/** The partitions of the configuration, or the defaults without one. Throws a `PlacementError` where a CPU cannot be had. */
export function resolvePartitions(configured: readonly PartitionConfig[], topology: Topology): Partition[] {
  const partitions = configured.length > 0 ? configured.map(configuredPartition) : defaultPartitions(topology);
  checkIds(partitions);
  for (const partition of partitions) checkCpus(partition, topology);
  checkOverlaps(partitions);
  for (const partition of configured) checkLanes(partition);
  withholdBesideReserved(partitions, configured, topology);
  for (const partition of partitions) if (partition.gpu !== null) partition.executorCpus = oneExecutorEach(partition);
  return partitions;
}

/** `cpus` by the NUMA node that they are on; nodes and CPUs ascend. */
export function cpusByNode(cpus: readonly number[], { places }: Topology): Map<number, number[]> {
  const nodes = new Map<number, number[]>();
  for (const { cpu, nodeId } of [...places].sort((a, b) => a.nodeId - b.nodeId || a.cpu - b.cpu)) {
    if (cpus.includes(cpu)) nodes.set(nodeId, [...(nodes.get(nodeId) ?? []), cpu]);
  }
  return nodes;
}

/**
 * CPUs in the order of executors, of which neighbours make up a run of several threads: those of one NUMA node, and in it of one
 * last-level cache, stand together; in a cache first a thread of each core, then their siblings.
 */
export function byNeighbourhood(cpus: readonly number[], { places }: Topology): number[] {
  const keys = new Map(
    places.map(({ cpu, packageId, nodeId, cacheId, siblings }) => [cpu, [packageId, nodeId, cacheId, siblings.indexOf(cpu), cpu]]),
  );
  const compare = (a: number, b: number): number => {
    const [one, other] = [keys.get(a) ?? [], keys.get(b) ?? []];
    const at = one.findIndex((value, index) => value !== other[index]);
    return at < 0 ? 0 : (one[at] ?? 0) - (other[at] ?? 0);
  };
  return [...cpus].sort(compare);
}

/** One entry for each core, by its lowest CPU: its CPUs, ascending. */
export function coresOf(places: readonly CpuPlace[]): number[][] {
  return places.filter(({ cpu, siblings }) => siblings[0] === cpu).map(({ siblings }) => siblings);
}

function configuredPartition(config: PartitionConfig): Partition {
  const { id, class: partitionClass, memory = null, models = null, gpu = null } = config;
  const named = typeof config.cpus === 'string' ? parseCpuList(config.cpus) : config.cpus;
  const repeated = named.find((cpu, index) => named.indexOf(cpu) !== index);
  if (repeated !== undefined) throw new PlacementError(`partition "${id}": CPU ${repeated} is named twice`);
  const cpus = [...named].sort((a, b) => a - b);
  const lanes = config.lanes ?? (partitionClass === 'reserved' ? ['realtime'] : ['realtime', 'batch']);
  return {
    id,
    class: partitionClass,
    cpus,
    memoryBytes: memory,
    lanes: LANES.filter((lane) => lanes.includes(lane)),
    models,
    gpu,
    executorCpus: { realtime: cpus, batch: cpus },
  };
}

/**
 * One burstable partition, of one NUMA node each where there are several: a worker keeps a model's weights in its own memory,
 * and its executors should not read them from another node's. The system gets whole cores, and low numbers, which get most
 * of a machine's interrupts.
 */
function defaultPartitions(topology: Topology): Partition[] {
  const { effective, places } = topology;
  const systemCount = effective.length < CPUS_WITH_SYSTEM_SHARE_MIN ? 0 : Math.max(1, Math.floor(effective.length * SYSTEM_SHARE));
  const byCore = coresOf(places)
    .flat()
    .filter((cpu) => effective.includes(cpu));
  const nodes = [...cpusByNode(byCore.slice(systemCount), topology)];
  return nodes.map(([node, cpus]) => ({
    id: nodes.length === 1 ? 'default' : `node${node}`,
    class: 'burstable',
    cpus,
    memoryBytes: null,
    lanes: ['realtime', 'batch'],
    models: null,
    gpu: null,
    executorCpus: { realtime: cpus, batch: cpus },
  }));
}

/** A batch executor on the sibling of a reserved core would take half of that core from the live lane. */
function withholdBesideReserved(partitions: Partition[], configured: readonly PartitionConfig[], { places }: Topology): void {
  const reserved = new Set(partitions.filter((partition) => partition.class === 'reserved').flatMap(({ cpus }) => cpus));
  const beside = new Set(places.filter(({ siblings }) => siblings.some((cpu) => reserved.has(cpu))).map(({ cpu }) => cpu));
  for (const partition of partitions) {
    if (!partition.lanes.includes('batch') || configured.find(({ id }) => id === partition.id)?.batchBesideReserved === true) continue;
    partition.executorCpus.batch = partition.cpus.filter((cpu) => !beside.has(cpu));
    if (partition.executorCpus.batch.length > 0) continue;
    throw new PlacementError(
      `partition "${partition.id}": its batch lane has no CPU, since each of ${formatCpuList(partition.cpus)} is the hyper-thread sibling of a reserved core; ` +
        'give it other CPUs, take the batch lane from its lanes, or set batchBesideReserved: true',
    );
  }
}

/** Runs of one GPU take turns whatever their number; the lanes' executors stay out of each other's way where they can. */
function oneExecutorEach({ executorCpus: { realtime, batch } }: Partition): Partition['executorCpus'] {
  return { realtime: realtime.slice(0, 1), batch: batch.slice(-1) };
}

function checkIds(partitions: readonly Partition[]): void {
  for (const [index, { id }] of partitions.entries()) {
    if (partitions.findIndex((other) => other.id === id) !== index) {
      throw new PlacementError(`partitions[${index}].id: "${id}" is used twice; give each partition an id of its own`);
    }
  }
}

function checkLanes({ id, class: partitionClass, lanes = [] }: PartitionConfig): void {
  if (partitionClass === 'reserved' && lanes.includes('batch')) {
    throw new PlacementError(
      `partition "${id}": class reserved serves the real-time lane alone, but its lanes have batch; take it out or make the class burstable`,
    );
  }
}

function checkCpus({ id, cpus }: Partition, { online, effective }: Topology): void {
  if (cpus.length === 0)
    throw new PlacementError(`partition "${id}": its list names no CPU; write the lower number of a range first, as in "0-3"`);
  const absent = cpus.filter((cpu) => !online.includes(cpu));
  if (absent.length > 0)
    throw new PlacementError(`partition "${id}": no CPU ${absent.join(', ')} here; online are ${formatCpuList(online)}`);
  const forbidden = cpus.filter((cpu) => !effective.includes(cpu));
  if (forbidden.length > 0) {
    throw new PlacementError(
      `partition "${id}": CPU ${forbidden.join(', ')} is outside the set this process may use (${formatCpuList(effective)}, by CPU affinity or cgroup cpuset)`,
    );
  }
}

function checkOverlaps(partitions: readonly Partition[]): void {
  for (const [index, one] of partitions.entries()) {
    for (const other of partitions.slice(index + 1)) {
      const shared = one.cpus.filter((cpu) => other.cpus.includes(cpu));
      if (shared.length === 0) continue;
      const both = `partitions "${one.id}" and "${other.id}" both have CPU ${formatCpuList(shared)}`;
      const reserver = [one, other].find((partition) => partition.class === 'reserved');
      const why = reserver
        ? `"${reserver.id}" reserves it`
        : 'two workers of one lane on it would take turns, and predicted times would not hold';
      throw new PlacementError(`${both}: ${why}; each CPU belongs to one partition`);
    }
  }
}

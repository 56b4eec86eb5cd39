import type { Lane, PartitionPlan, Placement, WorkerModelPlan, WorkerPlan } from '@app/contracts';
import type { FileConfig } from '@app/config';
import { formatCpuList, type Topology } from '@app/system';

export interface PlacementInput {
  topology: Topology;
  config: Pick<FileConfig, 'partitions' | 'realtime' | 'batch'>;
  /** What each lane's workers load. */
  models: Record<Lane, WorkerModelPlan[]>;
  socketPathOf: (workerId: string) => string;
}

/** A configuration that this machine cannot hold; the message says why and what is there. */
export class PlacementError extends Error {
  override readonly name = 'PlacementError';
}

/** From this many CPUs on, some are left to the system's and our own other processes. */
const CPUS_WITH_SYSTEM_SHARE_MIN = 4;
const SYSTEM_SHARE = 1 / 8;

/**
 * What runs where: pure, so that it can be tried on any recorded machine. Throws a `PlacementError` for a configuration
 * that cannot hold: a CPU that is not there or not allowed, a CPU in two partitions, an id twice.
 */
export function planPlacement(input: PlacementInput): Placement {
  const partitions = input.config.partitions.length > 0 ? input.config.partitions : [defaultPartition(input.topology)];
  checkIds(partitions);
  for (const partition of partitions) checkCpus(partition, input.topology);
  checkOverlaps(partitions);
  return {
    formatVersion: 1,
    partitions: partitions.map(({ id, class: partitionClass, cpus }) => ({ id, class: partitionClass, cpus: ascending(cpus) })),
    workers: partitions.flatMap((partition) => lanesOf(partition).map((lane) => planWorker(partition, lane, input))),
  };
}

/** Low CPU numbers, which get most of the machine's interrupts, are the ones left to the system. */
function defaultPartition({ effective }: Topology): PartitionPlan {
  const systemCpus = effective.length < CPUS_WITH_SYSTEM_SHARE_MIN ? 0 : Math.max(1, Math.floor(effective.length * SYSTEM_SHARE));
  return { id: 'default', class: 'burstable', cpus: effective.slice(systemCpus) };
}

function lanesOf(partition: PartitionPlan): Lane[] {
  return partition.class === 'reserved' ? ['realtime'] : ['realtime', 'batch'];
}

function planWorker(partition: PartitionPlan, lane: Lane, { config, models, socketPathOf }: PlacementInput): WorkerPlan {
  const id = `${partition.id}-${lane}`;
  return {
    id,
    partitionId: partition.id,
    lane,
    cpus: ascending(partition.cpus),
    socketPath: socketPathOf(id),
    models: models[lane],
    queueItemsMax: config[lane].queueItemsMax,
    channelBytes: config[lane].channelBytes,
  };
}

function checkIds(partitions: readonly PartitionPlan[]): void {
  for (const [index, { id }] of partitions.entries()) {
    if (partitions.findIndex((other) => other.id === id) !== index) {
      throw new PlacementError(`partitions[${index}].id: "${id}" is used twice; give each partition an id of its own`);
    }
  }
}

function checkCpus({ id, cpus }: PartitionPlan, { online, effective }: Topology): void {
  const repeated = cpus.find((cpu, index) => cpus.indexOf(cpu) !== index);
  if (repeated !== undefined) throw new PlacementError(`partition "${id}": CPU ${repeated} is named twice`);
  const absent = cpus.filter((cpu) => !online.includes(cpu));
  if (absent.length > 0) throw new PlacementError(`partition "${id}": no CPU ${absent.join(', ')} here; online are ${formatCpuList(online)}`);
  const forbidden = cpus.filter((cpu) => !effective.includes(cpu));
  if (forbidden.length > 0) {
    throw new PlacementError(
      `partition "${id}": CPU ${forbidden.join(', ')} is outside the set this process may use (${formatCpuList(effective)}, by CPU affinity or cgroup cpuset)`,
    );
  }
}

function checkOverlaps(partitions: readonly PartitionPlan[]): void {
  const ownerOf = new Map<number, string>();
  for (const { id, cpus } of partitions) {
    for (const cpu of cpus) {
      const owner = ownerOf.get(cpu);
      if (owner !== undefined) throw new PlacementError(`partitions "${owner}" and "${id}" both have CPU ${cpu}; each CPU belongs to one partition`);
      ownerOf.set(cpu, id);
    }
  }
}

function ascending(cpus: readonly number[]): number[] {
  return [...cpus].sort((a, b) => a - b);
}

import type { FileConfig } from '@app/config';
import { byteText, LANES, type Lane, type Placement, type PreemptionProof, type WorkerPlan } from '@app/contracts';
import { formatCpuList, type GpuInventory, type Topology } from '@app/system';
import { assignGpus, refusalWithoutGpu, type LaneGpu } from './gpu';
import { asksForGpu, checkModels, checkThreads, partitionsOf, unknownModels, type PlaceableModel } from './model-assignment';
import { byNeighbourhood, CPUS_WITH_SYSTEM_SHARE_MIN, cpusByNode, PlacementError, resolvePartitions, type Partition } from './partition';
import { lanesShareCpus, separateLanes } from './separate-lanes';

export interface PlacementInput {
  topology: Topology;
  gpus: GpuInventory;
  config: Pick<FileConfig, 'partitions' | 'realtime' | 'batch'>;
  models: PlaceableModel[];
  socketPathOf: (workerId: string) => string;
  /** Without it preemption is expected to work. Where it fails, the lanes of a partition get CPUs of their own. */
  preemption?: Pick<PreemptionProof, 'verdict'> | null;
}

/** A plan that holds, and what its operator should know. */
export interface PlacementPlan {
  placement: Placement;
  /** Usable CPUs without executors, for everything else that runs. */
  systemCpus: number[];
  /** What works, but hardly as it was meant; one sentence each. */
  warnings: string[];
}

/**
 * What runs where: pure, so that it can be tried on any recorded machine. Throws a `PlacementError` for a configuration
 * that cannot hold, with the reason: CPUs that are absent, forbidden or in two partitions, more memory than there is, a
 * batch lane without CPUs, a model that a lane cannot reach or whose runs need more CPUs than it has, a GPU in two partitions. A GPU that is not there is none: the
 * models that ask for it are refused by their workers, all others run.
 */
export function planPlacement({ topology, gpus, config, models, socketPathOf, preemption }: PlacementInput): PlacementPlan {
  const partitions = resolvePartitions(config.partitions, topology);
  const preempts = preemption?.verdict !== 'fails';
  if (!preempts) separateLanes(partitions, topology);
  checkMemory(partitions, topology);
  checkModels(models, partitions);
  checkThreads(models, partitions);
  const laneGpus = assignGpus(partitions, gpus);
  const planned = new Set(partitions.flatMap(({ cpus }) => cpus));
  const systemCpus = topology.effective.filter((cpu) => !planned.has(cpu));
  const workerOf = (partition: Partition, lane: Lane): WorkerPlan => {
    const id = `${partition.id}-${lane}`;
    const own = models.filter((model) => partitionsOf(model, lane, partitions).includes(partition));
    const { gpu, refusal } = laneGpus.get(id) ?? withoutGpu(own, gpus);
    return {
      id,
      partitionId: partition.id,
      lane,
      cpus: byNeighbourhood(partition.executorCpus[lane], topology),
      socketPath: socketPathOf(id),
      processCpus: preempts ? partition.cpus : partition.executorCpus[lane],
      memoryBytes: partition.memoryBytes === null ? null : Math.floor(partition.memoryBytes / partition.lanes.length),
      models: own.map(({ plans }) => plans[lane]),
      queueItemsMax: config[lane].queueItemsMax,
      channelBytes: config[lane].channelBytes,
      awakeMs: lane === 'realtime' ? config.realtime.awakeMs : 0,
      gpu,
      gpuRefusal: refusal,
    };
  };
  const workers = partitions.flatMap((partition) =>
    LANES.filter((lane) => partition.lanes.includes(lane)).map((lane) => workerOf(partition, lane)),
  );
  return {
    placement: {
      formatVersion: 1,
      partitions: partitions.map(({ id, class: partitionClass, cpus, memoryBytes }) => ({ id, class: partitionClass, cpus, memoryBytes })),
      workers,
    },
    systemCpus,
    warnings: [
      ...unservedLanes(partitions),
      ...(preempts
        ? []
        : partitions
            .filter(lanesShareCpus)
            .map(
              ({ id }) =>
                `partition "${id}" has one CPU for both lanes, and batch executors do not give way: batches will slow live requests`,
            )),
      ...(models.length > 0 ? idleWorkers(workers) : []),
      ...refusedModels(workers),
      ...unknownModels(models, partitions).map(
        ({ partition, entry }) => `partition "${partition}": no model has the name or tag "${entry}"`,
      ),
      ...partitions.flatMap((partition) => [...withheldCpus(partition), ...spannedNodes(partition, topology)]),
      ...(systemCpus.length === 0 && topology.effective.length >= CPUS_WITH_SYSTEM_SHARE_MIN ? [NO_SYSTEM_CPU] : []),
    ],
  };
}

function withoutGpu(models: readonly PlaceableModel[], gpus: GpuInventory): LaneGpu | { gpu: null; refusal: null } {
  return { gpu: null, refusal: models.some(asksForGpu) ? refusalWithoutGpu(gpus) : null };
}

function refusedModels(workers: readonly WorkerPlan[]): string[] {
  return workers.flatMap(({ lane, models, gpuRefusal }) =>
    models
      .filter(({ device }) => device === 'gpu' && gpuRefusal !== null)
      .map(({ name, version }) => `model "${name}" version ${version} is not served in the ${lane} lane: ${gpuRefusal}`),
  );
}

const NO_SYSTEM_CPU = 'every CPU is in a partition, so api, runner, Redis and the system run beside the executors; leave one CPU out';

function checkMemory(partitions: readonly Partition[], { memoryBytes }: Topology): void {
  const plannedBytes = partitions.reduce((sum, partition) => sum + (partition.memoryBytes ?? 0), 0);
  if (plannedBytes <= memoryBytes) return;
  const parts = partitions.flatMap(({ id, memoryBytes: own }) => (own === null ? [] : [`"${id}" ${byteText(own)}`]));
  throw new PlacementError(
    `memory of the partitions: ${parts.join(', ')}, in all ${byteText(plannedBytes, 'up')}, but this process may use ${byteText(memoryBytes, 'down')} (machine or cgroup limit); lower some`,
  );
}

function unservedLanes(partitions: readonly Partition[]): string[] {
  const isServed = (lane: Lane): boolean => partitions.some(({ lanes }) => lanes.includes(lane));
  return [
    ...(isServed('batch') ? [] : ['no partition serves the batch lane, so batches will wait for ever']),
    ...(isServed('realtime') ? [] : ['no partition serves the real-time lane, so live requests will not be answered']),
  ];
}

function idleWorkers(workers: readonly WorkerPlan[]): string[] {
  const idle = workers.filter(({ models }) => models.length === 0);
  return idle.map(
    ({ partitionId, lane }) =>
      `partition "${partitionId}": no model runs in its ${lane} lane; take the lane out of its lanes, or add to its models`,
  );
}

function withheldCpus({ id, lanes, cpus, executorCpus }: Partition): string[] {
  const withheld = lanes.includes('batch') ? cpus.filter((cpu) => !executorCpus.batch.includes(cpu)) : [];
  if (withheld.length === 0) return [];
  return [
    `partition "${id}": no batch executor on CPU ${formatCpuList(withheld)}, hyper-thread siblings of reserved cores; batchBesideReserved: true allows it`,
  ];
}

function spannedNodes({ id, cpus }: Partition, topology: Topology): string[] {
  const nodes = [...cpusByNode(cpus, topology)];
  if (nodes.length === 1) return [];
  const parts = nodes.map(([node, own]) => `${formatCpuList(own)} on node ${node}`).join(', ');
  return [
    `partition "${id}" spans NUMA nodes (${parts}): most of its executors will read weights from another node's memory; make it one partition for each node`,
  ];
}

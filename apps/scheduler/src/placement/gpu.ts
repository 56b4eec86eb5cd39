import { byteText, type GpuPlan, type Lane } from '@app/contracts';
import type { GpuDevice, GpuInventory, MigInstance } from '@app/system';
import { PlacementError, type GpuConfig, type Partition } from './partition';

/** What a lane of a partition gets: a GPU, or the reason why not. */
export type LaneGpu = { gpu: GpuPlan; refusal: null } | { gpu: null; refusal: string };

/** Memory share of each lane on a device that both use; the rest is for CUDA's own contexts. */
const SHARED_MEMORY_SHARE = 0.45;

type GpuPartition = Partition & { gpu: GpuConfig };
interface Claim {
  partition: GpuPartition;
  device: GpuDevice;
}

/**
 * The GPU of each lane of each partition that asks for one, by `<partition>-<lane>`. Per device: a MIG instance for each
 * lane, else shares of it under MPS, else the whole device for one lane: without either the driver lets processes take turns
 * on it, and live requests would wait for batches. Hardware that is not there is a refusal, since models on CPUs can be served;
 * a configuration that could hold nowhere is a `PlacementError`. Pure.
 */
export function assignGpus(partitions: readonly Partition[], inventory: GpuInventory): Map<string, LaneGpu> {
  const assigned = new Map<string, LaneGpu>();
  const claims: Claim[] = [];
  for (const partition of partitions.filter(hasGpu)) {
    const claim = claimOf(partition, inventory);
    if (typeof claim !== 'string') claims.push(claim);
    else for (const lane of partition.lanes) assigned.set(`${partition.id}-${lane}`, { gpu: null, refusal: claim });
  }
  checkConflicts(claims);
  const taken = new Set(claims.flatMap(namedInstances).map(({ uuid }) => uuid));
  for (const claim of claims) {
    const lanes = claim.device.migEnabled ? migInstances(claim, taken) : deviceShares(claim, inventory.mpsRuns);
    for (const [lane, laneGpu] of lanes) assigned.set(`${claim.partition.id}-${lane}`, laneGpu);
  }
  return assigned;
}

/** Why a model with `device: gpu` is refused in a partition without a GPU. */
export function refusalWithoutGpu({ devices, problem }: GpuInventory): string {
  const why =
    problem ??
    `this partition has no GPU, though the machine has ${devices.length}; give a partition gpu: { device: 0 } in interleave.yaml`;
  return `it asks for a GPU: ${why}, or write device: cpu in its model.yaml`;
}

function hasGpu(partition: Partition): partition is GpuPartition {
  return partition.gpu !== null;
}

/** What the partition claims, or why it cannot be had here. */
function claimOf(partition: GpuPartition, { devices, problem }: GpuInventory): Claim | string {
  const { device: wanted } = partition.gpu;
  const device = devices.find(({ index, uuid }) => wanted === index || wanted === uuid);
  if (device !== undefined) return unusable(device) ?? { partition, device };
  return (
    problem ??
    `no GPU ${wanted} here; there ${devices.length === 1 ? 'is' : 'are'} ${devices.map(({ index, uuid }) => `${index} (${uuid})`).join(', ')}`
  );
}

function unusable({ index, computeMode, migEnabled, instances }: GpuDevice): string | null {
  if (computeMode === 'Prohibited') return `GPU ${index} is in compute mode Prohibited; run: sudo nvidia-smi -i ${index} -c DEFAULT`;
  if (migEnabled && instances.length === 0)
    return `GPU ${index} is in MIG mode without an instance; make some with: sudo nvidia-smi mig -i ${index} -cgi <profiles> -C`;
  return null;
}

/** Throws for what two partitions claim, and for instances that a device without MIG does not have. */
function checkConflicts(claims: readonly Claim[]): void {
  for (const [position, { partition, device }] of claims.entries()) {
    const named = namedInstances({ partition, device });
    for (const other of claims.slice(position + 1)) {
      if (other.device !== device) continue;
      const both = `partitions "${partition.id}" and "${other.partition.id}" both have`;
      if (!device.migEnabled)
        throw new PlacementError(
          `${both} GPU ${device.index}: their workers would take turns on it; give each a GPU, or divide it into MIG instances`,
        );
      const shared = namedInstances(other).find((instance) => named.includes(instance));
      if (shared !== undefined)
        throw new PlacementError(
          `${both} MIG instance ${device.instances.indexOf(shared)} of GPU ${device.index}; each instance belongs to one lane of one partition`,
        );
    }
  }
}

function namedInstances({ partition: { id, gpu }, device }: Claim): MigInstance[] {
  const positions = gpu.instances ?? [];
  if (new Set(positions).size < positions.length)
    throw new PlacementError(`partition "${id}": gpu.instances names an instance twice; each belongs to one lane`);
  if (positions.length > 0 && !device.migEnabled)
    throw new PlacementError(
      `partition "${id}": gpu.instances, but GPU ${device.index} is not in MIG mode; take it out, or run: sudo nvidia-smi -i ${device.index} -mig 1`,
    );
  return positions.flatMap((position) => device.instances[position] ?? []);
}

/** Instances go to the lanes in their order, real-time first. Adds to `taken`. */
function migInstances(claim: Claim, taken: Set<string>): [Lane, LaneGpu][] {
  const { partition, device } = claim;
  const named = partition.gpu.instances?.map((position) => device.instances[position]);
  const free = named ?? device.instances.filter(({ uuid }) => !taken.has(uuid));
  return partition.lanes.map((lane, position) => {
    const instance = free[position];
    if (instance === undefined) {
      const refusal = `GPU ${device.index} has no MIG instance for the ${lane} lane of partition "${partition.id}": ${device.instances.length} in all, one for each lane; make more, or take the lane out`;
      return [lane, { gpu: null, refusal }];
    }
    taken.add(instance.uuid);
    const name = `${device.name} MIG ${instance.profile}`;
    return [lane, { gpu: planOf(partition.gpu, { sharing: 'mig', uuid: instance.uuid, name }), refusal: null }];
  });
}

function deviceShares({ partition, device }: Claim, mpsRuns: boolean): [Lane, LaneGpu][] {
  const { gpu, lanes } = partition;
  const { uuid, name } = device;
  if (lanes.length > 1 && mpsRuns) {
    checkSharedMemory(partition, device);
    const memoryBytes = device.memoryBytes === null ? null : Math.floor(device.memoryBytes * SHARED_MEMORY_SHARE);
    return lanes.map((lane) => [
      lane,
      {
        gpu: planOf(gpu, { sharing: 'mps', uuid, name, memoryBytes, threadPercent: lane === 'batch' ? gpu.batchPercent : null }),
        refusal: null,
      },
    ]);
  }
  const refusal =
    `GPU ${device.index} is neither divided into MIG instances nor shared by MPS, so batches would take turns with live requests; ` +
    'start MPS (nvidia-cuda-mps-control -d), make MIG instances, or take the batch lane out of the partition';
  return lanes.map((lane, position) => [
    lane,
    position === 0 ? { gpu: planOf(gpu, { sharing: 'whole', uuid, name }), refusal: null } : { gpu: null, refusal },
  ]);
}

function checkSharedMemory({ id, gpu, lanes }: GpuPartition, { index, memoryBytes }: GpuDevice): void {
  if (gpu.memory === undefined || memoryBytes === null || gpu.memory * lanes.length <= memoryBytes) return;
  throw new PlacementError(
    `partition "${id}": gpu.memory ${byteText(gpu.memory, 'up')} for each of ${lanes.length} workers, but GPU ${index} has ${byteText(memoryBytes, 'down')}; lower it`,
  );
}

type Given = Pick<GpuPlan, 'sharing' | 'uuid' | 'name'> & Partial<Pick<GpuPlan, 'memoryBytes' | 'threadPercent'>>;

function planOf(config: GpuConfig, { memoryBytes = null, threadPercent = null, ...given }: Given): GpuPlan {
  return { ...given, memoryBytes: config.memory ?? memoryBytes, threadPercent, ortLibraryPath: config.ortLibrary ?? null };
}

import { runPaths, type Config } from '@app/config';
import type { PreemptionProof } from '@app/contracts';
import { readGpus, readTopology, type GpuInventory, type Topology } from '@app/system';
import { laneModels, type LaneModels, type NumberOf } from './lane-models';
import { asksForGpu, type PlaceableModel } from './model-assignment';
import { planPlacement, type PlacementPlan } from './placement';

export interface NodePlan extends PlacementPlan {
  topology: Topology;
}

/** What there is to plan with. */
export interface NodeFacts extends LaneModels {
  topology: Topology;
  gpus: GpuInventory;
}

export function readNodeFacts(config: Config, numberOf: NumberOf): NodeFacts {
  const found = laneModels(config, numberOf);
  return { ...found, topology: readTopology(), gpus: gpusFor(config, found.models), warnings: [...config.warnings, ...found.warnings] };
}

/**
 * The plan for this machine and its models; without a proof, for a kernel that lets live executors preempt. Throws a
 * `PlacementError` for a configuration that cannot hold.
 */
export function planNode(config: Config, { warnings, ...facts }: NodeFacts, preemption: PreemptionProof | null = null): NodePlan {
  const plan = planPlacement({ ...facts, config, socketPathOf: runPaths(config.runDir).workerSocket, preemption });
  return { ...plan, warnings: [...warnings, ...plan.warnings], topology: facts.topology };
}

/** What the inventory says where nothing asked for it. */
export const GPUS_NOT_ASKED_FOR = 'nothing asks for a GPU';

/** Asking takes seconds on some machines, so only where the answer is wanted. */
function gpusFor({ partitions, searchPath }: Config, models: readonly PlaceableModel[]): GpuInventory {
  if (partitions.some(({ gpu }) => gpu !== undefined) || models.some(asksForGpu)) return readGpus(searchPath);
  return { devices: [], driverVersion: null, problem: GPUS_NOT_ASKED_FOR, mpsRuns: false };
}

import { runPaths, type Config } from '@app/config';
import type { PreemptionProof } from '@app/contracts';
import { readTopology, type Topology } from '@app/system';
import { laneModels } from './lane-models';
import { planPlacement, type PlacementPlan } from './placement';

export interface NodePlan extends PlacementPlan {
  topology: Topology;
}

/**
 * The plan for this machine and its models; without a proof, for a kernel that lets live executors preempt. Throws a
 * `PlacementError` for a configuration that cannot hold.
 */
export function planNode(config: Config, preemption: PreemptionProof | null = null): NodePlan {
  const topology = readTopology();
  const { models, warnings } = laneModels(config);
  const plan = planPlacement({ topology, config, models, socketPathOf: runPaths(config.runDir).workerSocket, preemption });
  return { ...plan, warnings: [...warnings, ...plan.warnings], topology };
}

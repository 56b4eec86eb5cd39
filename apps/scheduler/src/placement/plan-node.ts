import { runPaths, type Config } from '@app/config';
import { readTopology, type Topology } from '@app/system';
import { laneModels } from './lane-models';
import { planPlacement, type PlacementPlan } from './placement';

export interface NodePlan extends PlacementPlan {
  topology: Topology;
}

/** The plan for this machine and its models. Throws a `PlacementError` for a configuration that cannot hold. */
export function planNode(config: Config): NodePlan {
  const topology = readTopology();
  const { models, warnings } = laneModels(config);
  const plan = planPlacement({ topology, config, models, socketPathOf: runPaths(config.runDir).workerSocket });
  return { ...plan, warnings: [...warnings, ...plan.warnings], topology };
}

import type { Config } from '@app/config';
import { LANES, type Lane, type PreemptionProof } from '@app/contracts';
import { hasFile, modelFileBytes, type ModelManifest, type RepositoryEntry } from '@app/models';
import { placeableModel } from '../placement/lane-models';
import { asksForGpu } from '../placement/model-assignment';
import { PlacementError } from '../placement/partition';
import { GPUS_NOT_ASKED_FOR, planNode, type NodeFacts } from '../placement/plan-node';
import type { GraphFiles, Revision } from './revision';

/**
 * Makes a revision of files that can be read, and of the steps of a graph; throws a `PlacementError` where no worker can have them, with
 * what would help.
 */
export type RevisionPlanner = (entry: RepositoryEntry, number: number, graph: GraphFiles | null) => Revision;

/** By the plan of the node, which does not change while it runs. */
export function revisionPlanner(config: Config, facts: NodeFacts, preemption: PreemptionProof): RevisionPlanner {
  const lanes = LANES.filter((lane) =>
    planNode(config, { ...facts, models: [], warnings: [] }, preemption).placement.workers.some((worker) => worker.lane === lane),
  );
  return ({ name, manifest, reason, fingerprint }, number, graph) => {
    if (manifest?.graph && graph?.steps) return graphRevision(manifest, { number, fingerprint, graph, lanes });
    if (manifest === null || !hasFile(manifest)) throw new PlacementError(reason ?? `model ${name} cannot be read`);
    const model = placeableModel(manifest, config, { revision: number, fingerprint });
    if (asksForGpu(model) && facts.gpus.problem === GPUS_NOT_ASKED_FOR)
      throw new PlacementError('it asks for a GPU, and GPUs are looked for when the node starts only; start the node again');
    const { workers } = planNode(config, { ...facts, models: [model], warnings: [] }, preemption).placement;
    const own = workers.filter(({ models }) => models.length > 0);
    return {
      number,
      fingerprint,
      graph: null,
      plans: new Map(own.flatMap(({ id, models }) => models.map((plan) => [id, plan] as const))),
      gpuRefusals: new Map(own.flatMap(({ id, gpuRefusal }) => (gpuRefusal === null ? [] : [[id, gpuRefusal] as const]))),
      bytes: modelFileBytes(manifest.modelPath),
      isPinned: manifest.pinned,
    };
  };
}

function graphRevision(
  { name, version, lanes, graph: manifest, pinned }: ModelManifest,
  of: { number: number; fingerprint: string; graph: GraphFiles; lanes: readonly Lane[] },
): Revision {
  const { number, fingerprint, graph } = of;
  return {
    number,
    fingerprint,
    graph: {
      ...{ name, version, revision: number, fingerprint: graph.fingerprint },
      lanes: of.lanes.filter((lane) => lanes === null || lanes.includes(lane)),
      steps: [...(graph.steps ?? [])],
      outputs: manifest?.outputs ?? [],
    },
    ...{ plans: new Map(), gpuRefusals: new Map(), bytes: 0, isPinned: pinned },
  };
}

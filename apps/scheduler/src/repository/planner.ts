import type { Config } from '@app/config';
import type { PreemptionProof } from '@app/contracts';
import { modelFileBytes, type RepositoryEntry } from '@app/models';
import { placeableModel } from '../placement/lane-models';
import { asksForGpu } from '../placement/model-assignment';
import { PlacementError } from '../placement/partition';
import { GPUS_NOT_ASKED_FOR, planNode, type NodeFacts } from '../placement/plan-node';
import type { Revision } from './revision';

/** Makes a revision of files that can be read; throws a `PlacementError` where no worker can have them, with what would help. */
export type RevisionPlanner = (entry: RepositoryEntry, number: number) => Revision;

/** By the plan of the node, which does not change while it runs. */
export function revisionPlanner(config: Config, facts: NodeFacts, preemption: PreemptionProof): RevisionPlanner {
  return ({ name, manifest, reason, fingerprint }, number) => {
    if (manifest === null) throw new PlacementError(reason ?? `model ${name} cannot be read`);
    const model = placeableModel(manifest, config, { revision: number, fingerprint });
    if (asksForGpu(model) && facts.gpus.problem === GPUS_NOT_ASKED_FOR)
      throw new PlacementError('it asks for a GPU, and GPUs are looked for when the node starts only; start the node again');
    const { workers } = planNode(config, { ...facts, models: [model], warnings: [] }, preemption).placement;
    const own = workers.filter(({ models }) => models.length > 0);
    return {
      number,
      fingerprint,
      plans: new Map(own.flatMap(({ id, models }) => models.map((plan) => [id, plan] as const))),
      gpuRefusals: new Map(own.flatMap(({ id, gpuRefusal }) => (gpuRefusal === null ? [] : [[id, gpuRefusal] as const]))),
      bytes: modelFileBytes(manifest.modelPath),
      isPinned: manifest.pinned,
    };
  };
}

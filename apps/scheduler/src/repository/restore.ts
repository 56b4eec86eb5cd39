import type { GraphPlan, Placement, PlacedVersion, WorkerModelPlan, WorkerPlan } from '@app/contracts';
import { modelFileBytes, type RepositoryEntry } from '@app/models';
import { PlacementError } from '../placement/partition';
import type { RevisionNumbers } from './numbers';
import type { RevisionPlanner } from './planner';
import { revisionsOf, type Revision } from './revision';
import type { Versions } from './versions';

export interface RestoreOptions {
  versions: Versions;
  numbers: RevisionNumbers;
  plan: RevisionPlanner;
  workers: readonly WorkerPlan[];
  /** Whether unloaded ones are so to keep within a budget. */
  hasBudget: boolean;
  /** Whether files that are new are loaded without a command. */
  isFollowing: boolean;
}

/**
 * Takes over what an earlier scheduler placed, for processes that run on: they serve revisions whose files may be replaced
 * since. What was on its way begins anew, under the same number.
 */
export function restoreVersions(earlier: Placement, options: RestoreOptions): void {
  const { versions, workers } = options;
  for (const placed of earlier.versions ?? []) restoreVersion(placed, earlier, options);
  for (const { name, version, isLoaded } of earlier.repository?.commanded ?? [])
    versions.findOrAdd(name, version).command = isLoaded ? 'load' : 'unload';
  for (const plan of earlier.workers.flatMap(({ models }) => models)) {
    const version = versions.findOrAdd(plan.name, plan.version);
    if (revisionsOf(version).some(({ number }) => number === plan.revision) || isNext(plan, earlier)) continue;
    const revision = inherited(plan.revision, earlier.workers, workers);
    if (revision !== null) version.leaving.push({ revision, untilMs: 0, isPinnedByBatch: true });
  }
  for (const graph of earlier.graphs ?? []) {
    const version = versions.findOrAdd(graph.name, graph.version);
    if (version.serving?.number === graph.revision || isNext(graph, earlier)) continue;
    const revision = inheritedGraph(graph, options.numbers.fingerprintOf(graph.revision) ?? '');
    version.leaving.push({ revision, untilMs: 0, isPinnedByBatch: true });
  }
}

const isNext = ({ revision }: Pick<WorkerModelPlan, 'revision'>, { versions }: Placement): boolean =>
  (versions ?? []).some(({ next }) => next === revision);

function restoreVersion(placed: PlacedVersion, earlier: Placement, options: RestoreOptions): void {
  const { versions, numbers, plan, workers, hasBudget, isFollowing } = options;
  const version = versions.findOrAdd(placed.name, placed.version);
  version.isEvicted = hasBudget && placed.state === 'unloaded';
  version.isOnDemand = hasBudget && placed.onDemand === true;
  if (placed.serving === null) return;
  const isOfFiles = (number: number): boolean => version.entry !== null && numbers.fingerprintOf(number) === version.entry.fingerprint;
  const graph = earlier.graphs?.find(({ revision }) => revision === placed.serving);
  const isSame = graph === undefined ? isOfFiles(placed.serving) : graph.fingerprint === version.graphFiles?.fingerprint;
  const current = isSame && graph === undefined ? planned(version.entry, placed.serving, plan) : null;
  version.hasNewFiles = !isSame;
  version.isHeld = !isFollowing && !isSame && (placed.next === null || !isOfFiles(placed.next));
  version.serving =
    graph === undefined
      ? (current ?? inherited(placed.serving, earlier.workers, workers))
      : inheritedGraph(graph, numbers.fingerprintOf(graph.revision) ?? '');
}

function planned(entry: RepositoryEntry | null, number: number, plan: RevisionPlanner): Revision | null {
  try {
    return entry === null ? null : plan(entry, number, null);
  } catch (error) {
    if (!(error instanceof PlacementError)) throw error;
    return null;
  }
}

function inheritedGraph(graph: GraphPlan, fingerprint: string): Revision {
  return { number: graph.revision, fingerprint, graph, plans: new Map(), gpuRefusals: new Map(), bytes: 0, isPinned: false };
}

/** As workers that are still part of the plan were told of it; null: none was. */
function inherited(number: number, earlier: readonly WorkerPlan[], workers: readonly WorkerPlan[]): Revision | null {
  const plans = earlier
    .filter(({ id }) => workers.some((worker) => worker.id === id))
    .flatMap(({ id, models }) => models.filter(({ revision }) => revision === number).map((plan) => [id, plan] as const));
  const first = plans[0]?.[1];
  if (first === undefined) return null;
  const { fingerprint, modelPath } = first;
  return {
    number,
    fingerprint,
    graph: null,
    plans: new Map(plans),
    gpuRefusals: new Map(),
    bytes: modelFileBytes(modelPath),
    isPinned: false,
  };
}

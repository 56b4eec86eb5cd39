import type { ModelOfLane, PlacedVersion, WorkerModelPlan, WorkerPlan } from '@app/contracts';
import { byNameAndVersion, isFailing, isLoaded, type VersionState } from './revision';

/** What a worker has of the models, in order of name, version and revision. */
export function modelsOf(worker: WorkerPlan, versions: readonly VersionState[], nowMs: number): WorkerModelPlan[] {
  return [...versions]
    .sort(byNameAndVersion)
    .flatMap((version) => plansIn(worker, version, nowMs))
    .sort((a, b) => byNameAndVersion(a, b) || a.revision - b.revision);
}

function plansIn({ id, lane }: WorkerPlan, { serving, next, leaving }: VersionState, nowMs: number): WorkerModelPlan[] {
  const stay = leaving.filter(({ untilMs, isPinnedByBatch }) => nowMs < untilMs || (lane === 'batch' && isPinnedByBatch));
  const revisions = [...stay.map(({ revision }) => revision), serving, next?.revision ?? null];
  return revisions.flatMap((revision) => revision?.plans.get(id) ?? []);
}

/** Why a worker refuses models for a GPU; null: it has one, or no model asks. */
export function gpuRefusalOf({ id, gpuRefusal }: WorkerPlan, versions: readonly VersionState[]): string | null {
  const refusals = versions
    .flatMap(({ serving, next }) => [serving, next?.revision ?? null])
    .flatMap((each) => each?.gpuRefusals.get(id) ?? []);
  return refusals[0] ?? gpuRefusal;
}

/** What the other processes know of the versions that are there, or are still served. */
export function placedVersions(versions: readonly VersionState[]): PlacedVersion[] {
  return versions
    .filter((version) => version.entry !== null || isLoaded(version))
    .sort(byNameAndVersion)
    .map((version) => ({
      name: version.name,
      version: version.version,
      serving: version.serving?.number ?? null,
      next: version.next?.revision.number ?? null,
      state: stateOf(version),
      reason: version.reason,
      ...(isOnDemand(version) ? { onDemand: true } : {}),
    }));
}

/** A request for it loads it. */
export const isOnDemand = (version: VersionState): boolean =>
  version.isOnDemand && version.serving === null && version.isToLoad && !isRefused(version) && !isFailing(version);

function stateOf(version: VersionState): PlacedVersion['state'] {
  if (version.serving !== null) return 'serving';
  if (version.next !== null) return version.next.failure === null ? 'loading' : 'failed';
  if (isRefused(version)) return 'failed';
  return version.isToLoad && !version.isEvicted ? 'loading' : 'unloaded';
}

/** Its files, as they are, are known not to serve. */
export function isRefused({ entry, refusedFingerprint }: VersionState): boolean {
  return entry !== null && (entry.manifest === null || entry.fingerprint === refusedFingerprint);
}

/** The revision leaves out workers of lanes in which its model is quarantined; null: nothing is left. */
export function withoutQuarantined(
  version: VersionState,
  quarantined: readonly ModelOfLane[],
  workers: readonly WorkerPlan[],
): VersionState['serving'] {
  if (version.serving === null) return null;
  const lanes = quarantined
    .filter(({ name, version: number }) => name === version.name && number === version.version)
    .map(({ lane }) => lane);
  const plans = [...version.serving.plans].filter(
    ([id]) => !lanes.some((lane) => workers.some((worker) => worker.id === id && worker.lane === lane)),
  );
  return plans.length === 0 ? null : { ...version.serving, plans: new Map(plans) };
}

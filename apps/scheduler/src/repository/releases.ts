import type { PlacedRelease } from '@app/contracts';
import { standing, type Decision } from './decisions';
import { namedVersions, type ReleaseFile, type VersionPolicy } from './release-file';

type Standing = ReturnType<typeof standing>;

/** A model without release.yaml. */
export const NO_RELEASE: ReleaseFile = {
  hash: 'none',
  versions: { policy: 'all' },
  labels: {},
  canary: null,
  mirror: null,
  rollback: null,
  promote: null,
};

export interface ReleaseFacts {
  name: string;
  file: ReleaseFile;
  decisions: readonly Decision[];
  /** Versions that answer requests now, ascending. */
  serving: readonly string[];
  /** Versions that requests wait for, rather than get another, ascending. */
  awaited: readonly string[];
  /** What was placed before; null: nothing. */
  before: PlacedRelease | null;
}

/**
 * Which versions serve whom. A version that does not serve gets no traffic: it is neither canary nor mirror, and becomes stable
 * only where requests wait for it, or where nothing serves but what is on trial. Without a `stable` label of the file, one is
 * stable only beside another on trial; else the newest that is ready answers. Null: there is nothing to say, so it does too.
 */
export function placedRelease({ name, file, decisions, serving, awaited, before }: ReleaseFacts): PlacedRelease | null {
  if (file === NO_RELEASE && decisions.length === 0) return null;
  const { promoted, rolledBack } = standing(decisions);
  const isServing = (version: string): boolean => serving.includes(version);
  const isCanary = file.canary !== null && file.canary.version !== promoted && !rolledBack.has(file.canary.version);
  const canary = isCanary && file.canary !== null && isServing(file.canary.version) ? file.canary : null;
  const mirror = file.mirror !== null && isServing(file.mirror.version) ? file.mirror : null;
  const onTrial = versionsOnTrial(file, { promoted, rolledBack });
  const isUntried = (version: string): boolean => !onTrial.has(version);
  const newest = serving.findLast(isUntried) ?? awaited.findLast(isUntried);
  const wanted = wantedStable(file, promoted, rolledBack);
  const derived = onTrial.size === 0 ? undefined : newest;
  const stable = wanted === undefined ? derived : stableOf({ wanted, newest, before, rolledBack, isServing, awaited });
  const { stable: _, ...labels } = file.labels;
  return {
    name,
    labels: stable === undefined ? labels : { ...labels, stable },
    canary,
    mirror,
    rollback: file.rollback,
    promote: file.promote,
  };
}

function wantedStable(file: ReleaseFile, promoted: string | null, rolledBack: ReadonlySet<string>): string | undefined {
  return [promoted ?? undefined, file.labels['stable']].find((version) => version !== undefined && !rolledBack.has(version));
}

/** `newest`: of those not on trial. */
function stableOf(facts: {
  wanted: string;
  newest: string | undefined;
  before: PlacedRelease | null;
  rolledBack: ReadonlySet<string>;
  isServing: (version: string) => boolean;
  awaited: readonly string[];
}): string {
  const { wanted, newest, before, rolledBack, isServing, awaited } = facts;
  const former = before?.labels['stable'];
  if (isServing(wanted)) return wanted;
  if (former !== undefined && isServing(former) && !rolledBack.has(former)) return former;
  return awaited.includes(wanted) ? wanted : (newest ?? wanted);
}

/** Those that are not stable by being the newest: canary, mirror, and what was rolled back. */
function versionsOnTrial({ canary, mirror }: ReleaseFile, { promoted, rolledBack }: Standing): ReadonlySet<string> {
  const tried = [canary, mirror].flatMap((rule) => rule?.version ?? []).filter((version) => version !== promoted);
  return new Set([...tried, ...rolledBack]);
}

/**
 * The versions that are to be loaded, of `present` (ascending, without those that failed). `latest` counts from the newest.
 * Whatever the policy: what release.yaml names by number, `stable` (placed now; null: none), and the newest that is not on
 * trial, where the policy chooses versions on trial only and the one named stable is not present.
 */
export function versionsToLoad(
  present: readonly string[],
  { file, decisions, stable }: Pick<ReleaseFacts, 'file' | 'decisions'> & { stable: string | null },
): ReadonlySet<string> {
  const chosen = chosenBy(file.versions, present);
  const kept = [...namedVersions(file), stable];
  return new Set([...chosen, ...present.filter((version) => kept.includes(version)), ...besideTrial(present, chosen, file, decisions)]);
}

function chosenBy(policy: VersionPolicy, present: readonly string[]): readonly string[] {
  if (policy.policy === 'latest') return present.slice(-policy.keep);
  return policy.policy === 'all' ? present : present.filter((version) => policy.specific.includes(version));
}

/** One at most: who is not part of the trial gets it. */
function besideTrial(
  present: readonly string[],
  chosen: readonly string[],
  file: ReleaseFile,
  decisions: readonly Decision[],
): readonly string[] {
  const { promoted, rolledBack } = standing(decisions);
  const onTrial = versionsOnTrial(file, { promoted, rolledBack });
  const wanted = wantedStable(file, promoted, rolledBack);
  const isUntried = (version: string): boolean => !onTrial.has(version);
  if (onTrial.size === 0 || chosen.some(isUntried) || (wanted !== undefined && present.includes(wanted))) return [];
  return present.filter(isUntried).slice(-1);
}

/** In words, for a version that it leaves out. */
export function policyInWords(policy: VersionPolicy): string {
  if (policy.policy === 'latest') return `versions: { policy: latest, keep: ${policy.keep} }`;
  return policy.policy === 'all'
    ? 'versions: { policy: all }'
    : `versions: { policy: specific, specific: [${policy.specific.join(', ')}] }`;
}

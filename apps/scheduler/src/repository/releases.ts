import type { PlacedRelease } from '@app/contracts';
import { standing, type Decision } from './decisions';
import type { ReleaseFile, VersionPolicy } from './release-file';

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
  /** Versions that are on their way, ascending. */
  coming: readonly string[];
  /** What was placed before; null: nothing. */
  before: PlacedRelease | null;
}

/**
 * Which versions serve whom. A version that does not serve gets no traffic: it is neither canary nor mirror, and becomes stable
 * only where nothing that was stable before still serves. Null: there is nothing to say, the newest version serves all.
 */
export function placedRelease({ name, file, decisions, serving, coming, before }: ReleaseFacts): PlacedRelease | null {
  if (file === NO_RELEASE && decisions.length === 0) return null;
  const { promoted, rolledBack } = standing(decisions);
  const isServing = (version: string): boolean => serving.includes(version);
  const isCanary = file.canary !== null && file.canary.version !== promoted && !rolledBack.has(file.canary.version);
  const canary = isCanary && file.canary !== null && isServing(file.canary.version) ? file.canary : null;
  const mirror = file.mirror !== null && isServing(file.mirror.version) ? file.mirror : null;
  const onTrial = new Set([isCanary ? file.canary?.version : undefined, file.mirror?.version, ...rolledBack]);
  const isUntried = (version: string): boolean => !onTrial.has(version);
  const newest = serving.findLast(isUntried) ?? (serving.length === 0 ? coming.findLast(isUntried) : undefined);
  const stable = stableOf({ wanted: wantedStable(file, promoted, rolledBack), newest, before, rolledBack, isServing });
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

function stableOf(facts: {
  wanted: string | undefined;
  newest: string | undefined;
  before: PlacedRelease | null;
  rolledBack: ReadonlySet<string>;
  isServing: (version: string) => boolean;
}): string | undefined {
  const { wanted, newest, before, rolledBack, isServing } = facts;
  if (wanted === undefined) return newest;
  const former = before?.labels['stable'];
  if (isServing(wanted) || former === undefined || !isServing(former) || rolledBack.has(former)) return wanted;
  return former;
}

/**
 * The versions that are to be loaded, of `present` (ascending, without those that failed). `latest` counts from the newest;
 * what release.yaml names by number is kept as well.
 */
export function versionsToLoad(present: readonly string[], policy: VersionPolicy, named: readonly string[]): ReadonlySet<string> {
  const chosen =
    policy.policy === 'all'
      ? present
      : policy.policy === 'latest'
        ? present.slice(-policy.keep)
        : present.filter((version) => policy.specific.includes(version));
  return new Set([...chosen, ...present.filter((version) => named.includes(version))]);
}

/** In words, for a version that it leaves out. */
export function policyInWords(policy: VersionPolicy): string {
  if (policy.policy === 'latest') return `versions: { policy: latest, keep: ${policy.keep} }`;
  return policy.policy === 'all'
    ? 'versions: { policy: all }'
    : `versions: { policy: specific, specific: [${policy.specific.join(', ')}] }`;
}

import type { ModelComparison, PlacedRelease, Placement } from '@app/contracts';
import { CanaryTrial } from './canary-trial';
import { ComparisonTally } from './comparison-tally';

type Role = ModelComparison['role'];

/** What this process knows of the release of one model: its rules, its canary's trial, its comparisons. */
export class ReleaseState {
  release: PlacedRelease;
  /** The version that the others are compared with; null: none serves. */
  stable: string | null = null;
  /** Null: there is no canary, or nothing to compare it with. */
  trial: CanaryTrial | null = null;
  private trialKey: string | null = null;
  private readonly tallies = new Map<string, ComparisonTally>();
  /** Hundredths of a request that are to be mirrored and were not yet. */
  private owed = 0;

  constructor(release: PlacedRelease) {
    this.release = release;
  }

  /** Takes over what the scheduler says. Other versions, or other files of them, begin a new trial. */
  follow(release: PlacedRelease, versions: Placement['versions'], nowMs: number): void {
    this.release = release;
    const { name, canary, labels } = release;
    const own = (versions ?? []).filter((version) => version.name === name && version.serving !== null);
    const tested = [canary?.version, release.mirror?.version];
    this.stable = labels.stable ?? own.filter(({ version }) => !tested.includes(version)).at(-1)?.version ?? null;
    const revisionOf = (wanted: string): number | null => own.find(({ version }) => version === wanted)?.serving ?? null;
    const pair = canary === null || this.stable === null ? null : [this.stable, canary.version];
    const key = pair === null ? null : JSON.stringify([pair, pair.map(revisionOf), release.rollback?.windowMs]);
    if (key !== this.trialKey) this.trial = key === null ? null : new CanaryTrial(release, nowMs);
    this.trialKey = key;
    this.trial?.follow(release);
    for (const known of this.tallies.keys()) if (!tested.includes(known)) this.tallies.delete(known);
  }

  /** Whether the next answer of the stable version is mirrored: just as many as the rule says, without chance. */
  takesMirror(): boolean {
    this.owed += this.release.mirror?.percent ?? 0;
    if (this.owed < 100) return false;
    this.owed -= 100;
    return true;
  }

  tallyOf(version: string): ComparisonTally {
    const tally = this.tallies.get(version) ?? new ComparisonTally();
    this.tallies.set(version, tally);
    return tally;
  }

  comparisons(nowMs: number): ModelComparison[] {
    const { canary, mirror, name } = this.release;
    const { stable } = this;
    if (stable === null) return [];
    const of = (version: string, role: Role): ModelComparison => ({
      model: name,
      version,
      stable,
      role,
      ...this.tallyOf(version).view(),
      canary: role === 'canary' ? (this.trial?.figures(nowMs) ?? null) : null,
    });
    return [...(canary === null ? [] : [of(canary.version, 'canary')]), ...(mirror === null ? [] : [of(mirror.version, 'mirror')])];
  }
}

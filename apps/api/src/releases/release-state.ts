import type { ModelComparison, PlacedRelease, Placement } from '@app/contracts';
import type { ServedModel } from '@app/models';
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
  /** Of the version that serves, by its number. */
  private revisions: ReadonlyMap<string, number | null> = new Map();
  /** By the version that is tested; `key`: the files that were compared. */
  private readonly tallies = new Map<string, { key: string; tally: ComparisonTally }>();
  /** Hundredths of a request that are to be mirrored and were not yet. */
  private owed = 0;

  constructor(release: PlacedRelease) {
    this.release = release;
  }

  /** Takes over what the scheduler says. Other versions, or other files of them, begin a new trial and are compared anew. */
  follow(release: PlacedRelease, versions: Placement['versions'], nowMs: number): void {
    this.release = release;
    const { name, canary, labels } = release;
    const own = (versions ?? []).filter((version) => version.name === name && version.serving !== null);
    const tested = [canary?.version, release.mirror?.version];
    this.stable = labels.stable ?? own.filter(({ version }) => !tested.includes(version)).at(-1)?.version ?? null;
    this.revisions = new Map(own.map(({ version, serving }) => [version, serving]));
    const key = canary === null || this.stable === null ? null : JSON.stringify([this.filesOf(canary.version), release.rollback?.windowMs]);
    if (key !== this.trialKey) this.trial = key === null ? null : new CanaryTrial(release, nowMs);
    this.trialKey = key;
    this.trial?.follow(release);
    for (const [version, { key: known }] of this.tallies)
      if (!tested.includes(version) || known !== this.filesOf(version)) this.tallies.delete(version);
  }

  /** Whether it has the files that serve now. */
  isCurrent({ version, revision }: Pick<ServedModel, 'version' | 'revision'>): boolean {
    return this.revisions.get(version) === revision;
  }

  /** Whether the next answer of the stable version is mirrored: just as many as the rule says, without chance. */
  takesMirror(): boolean {
    this.owed += this.release.mirror?.percent ?? 0;
    if (this.owed < 100) return false;
    this.owed -= 100;
    return true;
  }

  /** Of the files that serve now. */
  tallyOf(version: string): ComparisonTally {
    const tally = this.tallies.get(version)?.tally ?? new ComparisonTally();
    this.tallies.set(version, { key: this.filesOf(version), tally });
    return tally;
  }

  /** Whether it is of files that serve now. */
  hasTally(tally: ComparisonTally): boolean {
    return [...this.tallies.values()].some((known) => known.tally === tally);
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

  /** Tells the files of a tested version and of the stable one from others. */
  private filesOf(tested: string): string {
    return JSON.stringify([this.stable, tested].map((version) => [version, this.revisions.get(version ?? '') ?? null]));
  }
}

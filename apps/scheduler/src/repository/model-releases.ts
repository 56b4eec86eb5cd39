import type { DecideCommand, PlacedRelease } from '@app/contracts';
import type { Decision, ReleaseDecisions } from './decisions';
import type { RepositoryEvents } from './events';
import type { FolderChanges } from './folder-looks';
import type { ReleaseFile } from './release-file';
import { NO_RELEASE, placedRelease, policyInWords, versionsToLoad } from './releases';
import type { Versions } from './versions';

/** Which versions of the models serve whom: what release.yaml says, and what was decided since. */
export class ModelReleases {
  private readonly files = new Map<string, ReleaseFile>();
  /** Models whose release.yaml could never be read: what was placed before holds. */
  private readonly unread = new Set<string>();
  private placed: Map<string, PlacedRelease>;

  /** `before`: as the scheduler before placed them. */
  constructor(
    private readonly decisions: ReleaseDecisions,
    private readonly events: RepositoryEvents,
    before: readonly PlacedRelease[],
  ) {
    this.placed = new Map(before.map((release) => [release.name, release]));
  }

  /** A file that cannot be used leaves what held before. */
  apply(changes: FolderChanges['releases']): void {
    for (const { name, file, problem } of changes) {
      if (problem !== null) {
        if (!this.files.has(name)) this.unread.add(name);
        this.tell(name, 'problem', `${problem}; what held before goes on`);
        continue;
      }
      this.unread.delete(name);
      if (file === null) this.files.delete(name);
      else this.files.set(name, file);
    }
  }

  /** Of `present`, ascending, those that are to be loaded. */
  toLoad(name: string, present: readonly string[], versions: Versions): ReadonlySet<string> {
    const file = this.fileOf(name);
    const stable = this.placeOne(name, versions)?.labels['stable'] ?? null;
    return versionsToLoad(present, { file, decisions: this.decisions.of(name, file.hash), stable });
  }

  policyOf(name: string): string {
    return policyInWords(this.fileOf(name).versions);
  }

  /** The version that requests without one get, where that is not simply the newest. */
  stableOf(name: string): string | null {
    return this.placed.get(name)?.labels['stable'] ?? null;
  }

  /** What holds for the versions that serve now. */
  place(versions: Versions): PlacedRelease[] {
    const placed = versions.names().flatMap((name) => this.placeOne(name, versions) ?? []);
    for (const release of placed) this.tellChange(release);
    this.placed = new Map(placed.map((release) => [release.name, release]));
    return placed.sort((a, b) => (a.name < b.name ? -1 : 1));
  }

  /** Throws where there is nothing to decide, with the reason. */
  decide({ name, action, version, reason, by, figures }: DecideCommand, versions: Versions): void {
    const serving = versions.servingOf(name);
    const canary = this.placed.get(name)?.canary?.version;
    const decided = version ?? canary ?? (action === 'rollback' ? this.promotedOf(name) : undefined);
    if (decided === undefined)
      throw new Error(
        `${name} has no canary; add one to its release.yaml, or name a version: interleave models ${action} ${name} --model-version 2`,
      );
    if (by === 'rule' && decided !== canary) throw new Error(`version ${decided} of ${name} is not the canary any more`);
    if (action === 'promote' && !serving.includes(decided))
      throw new Error(`version ${decided} of ${name} does not serve, so it cannot be promoted`);
    const decision = { atMs: Date.now(), action, version: decided, reason, by, figures: { ...figures } };
    if (action === 'rollback') this.checkRollback(name, decision, versions);
    this.decisions.add(name, this.fileOf(name).hash, decision);
    const kind = action === 'promote' ? 'promoted' : 'rolled-back';
    this.events.add({ model: name, version: decided, revision: null, kind, message: `${kind} by ${by}: ${reason}` });
  }

  /** Throws where no other version would answer: one on trial, or one that was rolled back, is nothing to go back to. */
  private checkRollback(name: string, decision: Decision, versions: Versions): void {
    const other = versions.servingOf(name).findLast((version) => version !== decision.version);
    if (other === undefined) throw new Error(`no version of ${name} but ${decision.version} serves; load another one first`);
    const stable = this.placeOne(name, versions, this.decisions.with(name, this.fileOf(name).hash, decision))?.labels['stable'] ?? '';
    if (stable !== decision.version && [...versions.servingOf(name), ...versions.awaitedOf(name)].includes(stable)) return;
    throw new Error(
      `no version of ${name} can answer in place of ${decision.version}: ` +
        'the others are on trial, were rolled back or do not serve; ' +
        `promote another one first: interleave models promote ${name} --model-version ${other}`,
    );
  }

  private promotedOf(name: string): string | undefined {
    return this.decisions.of(name, this.fileOf(name).hash).findLast(({ action }) => action === 'promote')?.version;
  }

  private placeOne(name: string, versions: Versions, decisions = this.decisions.of(name, this.fileOf(name).hash)): PlacedRelease | null {
    const before = this.placed.get(name) ?? null;
    if (this.unread.has(name)) return before;
    const file = this.fileOf(name);
    return placedRelease({ name, file, decisions, serving: versions.servingOf(name), awaited: versions.awaitedOf(name), before });
  }

  private fileOf(name: string): ReleaseFile {
    return this.files.get(name) ?? NO_RELEASE;
  }

  private tellChange(release: PlacedRelease): void {
    const before = this.placed.get(release.name);
    if (before !== undefined && inWords(before) === inWords(release)) return;
    this.tell(release.name, 'release', inWords(release));
  }

  private tell(model: string, kind: 'release' | 'problem', message: string): void {
    this.events.add({ model, version: null, revision: null, kind, message });
  }
}

function inWords({ labels, canary, mirror }: PlacedRelease): string {
  const named = Object.entries(labels).map(([label, version]) => `${label} is version ${version}`);
  return [
    ...named,
    canary === null ? 'no canary' : `version ${canary.version} gets ${canary.trafficPercent} %`,
    ...(mirror === null ? [] : [`version ${mirror.version} gets copies of ${mirror.percent} %`]),
  ].join(', ');
}

import type { Config } from '@app/config';
import { byteText, type Lane } from '@app/contracts';
import { fits, roomFor, type BudgetFacts } from './budget';
import type { Graphs } from './graphs';
import type { Lifecycle } from './lifecycle';
import type { ModelReleases } from './model-releases';
import { isRefused } from './placed';
import { isCurrent, isFailing, isLoaded, type Revision, type VersionState } from './revision';
import type { Versions } from './versions';

export interface ResidencyOptions {
  repository: Config['repository'];
  versions: Versions;
  releases: ModelReleases;
  lifecycle: Lifecycle;
  graphs: Graphs;
  laneOf: (workerId: string) => Lane;
}

/** Decides which versions are loaded: by mode, commands, release.yaml and memory. */
export class Residency {
  /** Steps of graphs that are to be loaded: as wanted as those. */
  private needed: ReadonlySet<VersionState> = new Set();
  /** Steps of graphs that are pinned: as pinned as those. */
  private pinnedByGraphs: ReadonlySet<VersionState> = new Set();

  constructor(private readonly options: ResidencyOptions) {}

  /** Begins and ends loads until what is there is what is wanted. `pinned`: revisions that batches need. */
  settle(pinned: ReadonlySet<number>, nowMs: number): void {
    const { versions, graphs } = this.options;
    const isGraph = (name: string): boolean => versions.ofModel(name).some(({ graphFiles }) => graphFiles !== null);
    const names = versions.names();
    const graphLoads = names.filter(isGraph).flatMap((name) => this.settleModel(name, nowMs));
    this.needed = graphs.needed();
    this.pinnedByGraphs = graphs.pinned();
    const loads = [...graphLoads, ...names.filter((name) => !isGraph(name)).flatMap((name) => this.settleModel(name, nowMs))];
    const isUrgent = (version: VersionState): boolean => version.serving !== null || version.wantedUntilMs > nowMs;
    const rank = (version: VersionState): number => (this.isPinned(version) ? 0 : isUrgent(version) ? 1 : 2);
    const order = (a: VersionState, b: VersionState): number => rank(a) - rank(b) || a.wantedSinceMs - b.wantedSinceMs;
    for (const version of loads.sort(order)) this.load(version, pinned, nowMs);
  }

  /** The versions that are to be loaded and are not. */
  private settleModel(name: string, nowMs: number): VersionState[] {
    const own = this.options.versions.ofModel(name);
    const usable = own.filter((version) => this.objection(version) === null && (version.serving !== null || !hasFailed(version)));
    const chosen = this.options.releases.toLoad(
      name,
      usable.map(({ version }) => version),
      this.options.versions,
    );
    const isAwaited = usable.some((version) => chosen.has(version.version) && isComing(version, nowMs));
    for (const version of own) {
      const objection = this.objection(version) ?? this.leftOut(version, chosen);
      version.isToLoad = objection === null;
      if (objection !== null) this.keepOut(version, objection, isAwaited && this.objection(version) === null, nowMs);
    }
    return own.filter((version) => version.isToLoad && this.differs(version, nowMs));
  }

  /** Why it is not to be loaded, whatever the other versions are; null: it is. */
  private objection(version: VersionState): string | null {
    const { name, entry, command } = version;
    const { mode, load } = this.options.repository;
    if (entry === null) return 'its files are gone';
    const remedy = `load it: POST /v2/repository/models/${name}/load`;
    if (command === 'unload') return `unloaded by command; ${remedy}`;
    if (mode !== 'explicit' || command === 'load' || this.needed.has(version) || load.includes(name) || load.includes('*')) return null;
    return `not loaded, because repository.mode is explicit; ${remedy}`;
  }

  private leftOut(version: VersionState, chosen: ReadonlySet<string>): string | null {
    if (chosen.has(version.version) || hasFailed(version) || this.needed.has(version)) return null;
    return `left out by "${this.options.releases.policyOf(version.name)}" in release.yaml`;
  }

  /** An old version serves on until the one that replaces it does. */
  private keepOut(version: VersionState, objection: string, isReplacedLater: boolean, nowMs: number): void {
    if (isLoaded(version)) {
      if (!isReplacedLater || version.serving === null) this.options.lifecycle.unload(version, objection, nowMs);
    } else if (!isRefused(version)) version.reason = objection;
  }

  /** Whether it is not what its files are. */
  private differs(version: VersionState, nowMs: number): boolean {
    const { entry, graphFiles, serving, next, isEvicted, wantedUntilMs } = version;
    if (entry === null || isRefused(version)) return false;
    if (graphFiles !== null && graphFiles.steps === null) return false; // its steps come first
    if (isCurrent(version)) {
      this.options.lifecycle.dropNext(version, nowMs);
      return false;
    }
    if (next?.revision.fingerprint === entry.fingerprint) return false;
    return serving !== null || !isEvicted || wantedUntilMs > nowMs || this.isPinned(version);
  }

  private isPinned(version: VersionState): boolean {
    return version.entry?.manifest?.pinned === true || this.pinnedByGraphs.has(version);
  }

  private load(version: VersionState, pinned: ReadonlySet<number>, nowMs: number): void {
    const { lifecycle, versions } = this.options;
    const revision = lifecycle.revisionOf(version, nowMs);
    if (revision === null || !this.hasRoom(version, revision, pinned, nowMs)) return;
    lifecycle.begin(version, revision, versions.servingOf(version.name).length > 0, nowMs);
  }

  private hasRoom(version: VersionState, revision: Revision, pinned: ReadonlySet<number>, nowMs: number): boolean {
    const { memoryMax } = this.options.repository;
    if (memoryMax === undefined) return true;
    const { versions, laneOf } = this.options;
    const { pinnedByGraphs } = this;
    const facts: BudgetFacts = { versions: versions.all(), bytesMax: memoryMax, laneOf, pinned, pinnedByGraphs, nowMs };
    if (this.mustLoad(version, revision, nowMs)) return this.makeRoom(version, revision, facts);
    if (fits(revision, facts)) return true;
    Object.assign(version, { isEvicted: true, isOnDemand: true });
    version.reason ??= `not loaded, to keep within repository.memoryMax (${byteText(memoryMax)}); it is loaded for whoever asks`;
    return false;
  }

  /** Others are unloaded for it: for those that stay loaded, that somebody waits for, or that replace what serves. */
  private mustLoad(version: VersionState, revision: Revision, nowMs: number): boolean {
    if (revision.isPinned || this.pinnedByGraphs.has(version) || version.wantedUntilMs > nowMs || version.serving !== null) return true;
    return this.options.versions.ofModel(version.name).some((other) => other.serving !== null && !other.isToLoad);
  }

  private makeRoom(version: VersionState, revision: Revision, facts: BudgetFacts): boolean {
    const { lifecycle } = this.options;
    const room = roomFor(revision, version, facts);
    if ('reason' in room) {
      if (room.isFinal) lifecycle.refuse(version, room.reason, facts.nowMs);
      else version.reason = room.reason;
      return false;
    }
    const asked = `model ${version.name} version ${version.version}`;
    for (const victim of room.evict) {
      lifecycle.unload(
        victim,
        `unloaded to make room for ${asked}, as not used for longest; it is loaded for whoever asks`,
        facts.nowMs,
        0,
      );
      Object.assign(victim, { isEvicted: true, isOnDemand: true });
    }
    return fits(revision, facts);
  }
}

/** Its files as they are do not serve, or not in any worker. */
function hasFailed(version: VersionState): boolean {
  return isRefused(version) || isFailing(version);
}

/** It does not serve yet, and is about to. */
function isComing(version: VersionState, nowMs: number): boolean {
  return version.serving === null && !hasFailed(version) && (!version.isEvicted || version.wantedUntilMs > nowMs);
}

import type { Config } from '@app/config';
import type { Lane, Placement, SchedulerProcessStatus } from '@app/contracts';
import type { RepositoryEntry } from '@app/models';
import type { Logger } from '@app/telemetry';
import type { PublishedPlacement } from '../placement/published-placement';
import type { RepositoryEvents } from './events';
import { FolderLooks, type FolderChanges } from './folder-looks';
import { FolderWatch } from './folder-watch';
import { graphFilesOf, Graphs, placedGraphs } from './graphs';
import { COSTS_WAIT_MS, hasCosts, isReadyAnywhere, isReportedAnywhere, judge } from './judge';
import { Lifecycle, LINGER_MS, type Quarantine } from './lifecycle';
import type { ModelReleases } from './model-releases';
import type { RevisionNumbers } from './numbers';
import type { Observation, Observer } from './observer';
import { gpuRefusalOf, isRefused, modelsOf, placedVersions } from './placed';
import type { RevisionPlanner } from './planner';
import { Residency } from './residency';
import { restoreVersions } from './restore';
import { isCurrent, isLoaded, revisionsOf, type NextRevision, type VersionState } from './revision';
import { Versions } from './versions';

/** Processes are asked this often while something is on its way, and while something leaves or has failed. */
const FAST_MS = 100;
const SLOW_MS = 1000;
/** A look soon after a notification takes in those that follow it. */
const NOTICED_MS = 50;
const UNSETTLED_MS = 250;
/** Deaths of workers by one new revision, while another one serves. */
const DEATHS_MAX = 2;

export interface ModelRepositoryOptions {
  config: Pick<Config, 'modelsDir' | 'repository'>;
  placement: PublishedPlacement;
  plan: RevisionPlanner;
  numbers: RevisionNumbers;
  releases: ModelReleases;
  events: RepositoryEvents;
  observer: Observer;
  quarantine: Quarantine;
  /** The node has a runner, which says what batches need. */
  hasRunner: boolean;
  /** What is in the folder as the node starts. */
  entries: readonly RepositoryEntry[];
  /** Of a scheduler whose processes run on; null: nothing runs. */
  earlier: Placement | null;
  log: Logger;
}

/**
 * Follows the folder of models while the node serves, and decides which revision of which version serves: the only one who
 * does. It publishes its first placement as it is made, and follows between `start` and `stop`.
 */
export class ModelRepository {
  readonly versions = new Versions();
  private readonly lifecycle: Lifecycle;
  readonly graphs: Graphs;
  private readonly residency: Residency;
  private readonly looks: FolderLooks;
  private readonly watch: FolderWatch;
  /** Revisions that batches need; null: not known yet. */
  private pinned: ReadonlySet<number> | null = null;
  private published = '';
  private folderProblem: string | null = null;
  private turnTimer: NodeJS.Timeout | null = null;
  private turnDueMs = 0;
  private turning: Promise<void> | null = null;
  private lookTimer: NodeJS.Timeout | null = null;
  private lookDueMs = 0;
  private looking: Promise<void> | null = null;
  private readonly waiters = new Set<() => void>();
  private isRunning = false;
  private isUnwritten = false;

  /** Throws when the placement cannot be written. */
  constructor(private readonly options: ModelRepositoryOptions) {
    const { config, entries, earlier, events, numbers, plan, quarantine, releases } = options;
    const workers = () => options.placement.current.workers;
    this.lifecycle = new Lifecycle({ events, numbers, plan, quarantine, workers });
    const { versions, lifecycle } = this;
    const laneOf = (id: string): Lane => this.laneOf(id);
    const lanes = (): Lane[] => [...new Set(workers().map(({ lane }) => lane))];
    this.graphs = new Graphs({ versions, numbers, lifecycle, laneOf, lanes });
    this.residency = new Residency({ repository: config.repository, versions, releases, lifecycle, graphs: this.graphs, laneOf });
    this.looks = new FolderLooks(config.modelsDir, entries);
    this.watch = new FolderWatch(config.modelsDir, () => this.lookAfter(NOTICED_MS));
    for (const entry of entries) {
      const graphFiles = graphFilesOf(
        entry,
        earlier?.graphs?.find(({ name, version }) => name === entry.name && version === entry.version),
      );
      Object.assign(versions.findOrAdd(entry.name, entry.version), { entry, graphFiles, reason: entry.reason });
    }
    const hasBudget = config.repository.memoryMax !== undefined;
    const isFollowing = config.repository.mode === 'watch';
    if (earlier !== null) restoreVersions(earlier, { versions, numbers, plan, workers: workers(), hasBudget, isFollowing });
    this.keepForGraphs(performance.now());
    releases.apply(this.looks.releasesNow());
    this.settleModels(new Set(), performance.now());
    this.publish(performance.now());
  }

  start(): void {
    this.isRunning = true;
    this.schedule();
    if (this.options.config.repository.mode !== 'none') this.lookAfter(0);
  }

  async stop(): Promise<void> {
    this.isRunning = false;
    for (const timer of [this.turnTimer, this.lookTimer]) if (timer !== null) clearTimeout(timer);
    this.watch.close();
    await Promise.all([this.turning, this.looking]);
    this.tellWaiters();
  }

  status(): Pick<SchedulerProcessStatus, 'versions' | 'releases' | 'events' | 'folderProblem'> {
    const { versions = [], releases = [] } = this.options.placement.current;
    return { versions, releases, events: this.options.events.newest(), folderProblem: this.folderProblem };
  }

  /** A worker died of a revision. */
  workerDied(revision: number, reason: string): void {
    const version = this.versions.all().find(({ next }) => next?.revision.number === revision);
    if (version === undefined || version.next === null) return;
    version.next.deaths += 1;
    if (version.next.deaths < DEATHS_MAX || !version.next.isTrial || this.versions.servingOf(version.name).length === 0) return;
    this.lifecycle.refuse(version, `${version.next.deaths} workers died of it, the last one: ${reason}`, performance.now());
    this.settle();
  }

  /** What is on its way of a version is not waited for any more. */
  giveUp(version: VersionState): void {
    version.refusedFingerprint = null;
    version.reason = null;
    this.lifecycle.dropNext(version, performance.now());
  }

  /** The versions of a model as its files are now, read at once. */
  lookAtModel(name: string): VersionState[] {
    this.applyVersions(this.looks.lookAtModel(name));
    return this.versions.ofModel(name);
  }

  /** Brings what is loaded in line with what is wanted, and publishes it. */
  settle(): void {
    const nowMs = performance.now();
    this.settleModels(this.pinned ?? new Set(), nowMs);
    for (const version of this.versions.all())
      if (version.entry === null && !isLoaded(version) && version.leaving.length === 0) this.versions.remove(version);
    try {
      this.publish(nowMs);
      this.isUnwritten = false;
    } catch (error) {
      this.isUnwritten = true;
      this.options.log.error({ err: error }, 'cannot write the placement; what changed about models takes effect once it can be written');
    }
    this.tellWaiters();
    this.schedule();
  }

  private settleModels(pinned: ReadonlySet<number>, nowMs: number): void {
    this.graphs.settle(nowMs);
    this.residency.settle(pinned, nowMs);
  }

  /** Resolves to true after the next change or look at processes, to false at `untilMs` (on the clock of `performance.now`). */
  nextTurn(untilMs: number): Promise<boolean> {
    return new Promise((resolve) => {
      const done = (isTurn: boolean): void => {
        clearTimeout(timer);
        this.waiters.delete(turned);
        resolve(isTurn);
      };
      const turned = (): void => done(this.isRunning);
      const timer = setTimeout(() => done(false), Math.max(0, untilMs - performance.now()));
      this.waiters.add(turned);
    });
  }

  private async takeTurn(): Promise<void> {
    const observation = await this.options.observer.look(this.options.placement.current.workers.map(({ id }) => id));
    if (!this.isRunning) return;
    const nowMs = performance.now();
    const pinned = this.pinnedBy(observation.runner);
    this.pinned = pinned === null ? null : this.graphs.withSteps(pinned);
    this.keepForGraphs(nowMs);
    for (const version of this.versions.all()) {
      if (version.next !== null) this.advance(version, version.next, observation, nowMs);
      this.retire(version, observation, nowMs);
    }
  }

  /** What was replaced serves its graphs on; what was unloaded has to go. */
  private keepForGraphs(nowMs: number): void {
    const usedByGraphs = this.graphs.inUse(nowMs);
    for (const { serving, leaving } of this.versions.all())
      for (const each of leaving) if (serving !== null && usedByGraphs.has(each.revision.number)) each.untilMs = nowMs + LINGER_MS;
  }

  private advance(version: VersionState, next: NextRevision, observation: Observation, nowMs: number): void {
    const isStrict = next.isTrial && this.isGuarded(version, observation);
    const verdict = judge(next, observation, { isStrict, laneOf: (id) => this.laneOf(id) });
    if (verdict.kind === 'waiting') return;
    if (verdict.kind === 'failed') {
      if (isStrict) this.lifecycle.refuse(version, verdict.reason, nowMs);
      else this.lifecycle.fail(version, verdict.reason);
      return;
    }
    next.readyAtMs ??= nowMs;
    const waitsForCosts = isStrict && nowMs - next.readyAtMs < COSTS_WAIT_MS && !hasCosts(next.revision, observation);
    if (!waitsForCosts) this.lifecycle.serve(version, verdict.reason, nowMs);
  }

  /** Something of the model answers requests now. */
  private isGuarded({ name }: VersionState, observation: Observation): boolean {
    return this.versions.ofModel(name).some(({ serving }) => serving !== null && isReadyAnywhere(serving, observation));
  }

  private retire(version: VersionState, observation: Observation, nowMs: number): void {
    version.leaving = version.leaving.filter((leaving) => {
      leaving.isPinnedByBatch = this.pinned === null || this.pinned.has(leaving.revision.number);
      if (nowMs < leaving.untilMs || leaving.isPinnedByBatch || isReportedAnywhere(leaving.revision, observation)) return true;
      this.lifecycle.retired(version, leaving.revision);
      return false;
    });
  }

  /** A runner that does not say what its batches need leaves what it needed before. */
  private pinnedBy(runner: Observation['runner']): ReadonlySet<number> | null {
    if (typeof runner === 'object') return runner.pinnedRevisions === null ? this.pinned : new Set(runner.pinnedRevisions);
    return runner === 'down' && !this.options.hasRunner ? new Set() : this.pinned;
  }

  private schedule(): void {
    const delayMs = this.turnDelayMs();
    if (!this.isRunning || this.turning !== null || delayMs === null) return;
    const dueMs = performance.now() + delayMs;
    if (this.turnTimer !== null && this.turnDueMs <= dueMs) return; // others may ask again and again meanwhile
    if (this.turnTimer !== null) clearTimeout(this.turnTimer);
    this.turnDueMs = dueMs;
    this.turnTimer = setTimeout(() => this.turn(), delayMs);
  }

  private turn(): void {
    this.turnTimer = null;
    this.turning = this.takeTurn()
      .catch((error: Error) => this.options.log.error({ err: error }, 'following the models failed'))
      .finally(() => {
        this.turning = null;
        if (this.isRunning) this.settle();
      });
  }

  /** Null: nothing is under way. */
  private turnDelayMs(): number | null {
    const versions = this.versions.all();
    const nowMs = performance.now();
    if (versions.some(({ next, wantedUntilMs }) => (next !== null && next.failure === null) || wantedUntilMs > nowMs)) return FAST_MS;
    const isSlow = (version: VersionState): boolean => version.next !== null || version.leaving.length > 0 || isBehind(version);
    return this.isUnwritten || versions.some(isSlow) ? SLOW_MS : null;
  }

  private lookAfter(delayMs: number): void {
    if (!this.isRunning || this.looking !== null) return;
    const dueMs = performance.now() + delayMs;
    if (this.lookTimer !== null && this.lookDueMs <= dueMs) return;
    if (this.lookTimer !== null) clearTimeout(this.lookTimer);
    this.lookDueMs = dueMs;
    this.lookTimer = setTimeout(() => this.look(), delayMs);
  }

  private look(): void {
    this.lookTimer = null;
    const { repository } = this.options.config;
    this.looking = this.looks
      .look(repository.mode === 'watch' ? 'all' : 'releases')
      .then((changes) => this.apply(changes))
      .catch((error: Error) => this.options.log.error({ err: error }, 'looking at MODELS_DIR failed'))
      .finally(() => {
        this.looking = null;
        this.lookAfter(this.looks.isUnsettled ? Math.min(UNSETTLED_MS, repository.pollMs) : repository.pollMs);
      });
  }

  private apply({ versions, releases, problem }: FolderChanges): void {
    if (!this.isRunning) return;
    if (problem !== null && problem !== this.folderProblem) this.options.log.warn({ reason: problem }, 'models stay as they are');
    this.folderProblem = problem;
    this.watch.follow(this.looks.names());
    if (versions.length + releases.length === 0) return;
    this.applyVersions(versions);
    this.options.releases.apply(releases);
    this.settle();
  }

  private applyVersions(changes: FolderChanges['versions']): void {
    for (const { name, version: number, entry } of changes) {
      const version = this.versions.findOrAdd(name, number);
      version.entry = entry;
      version.graphFiles = graphFilesOf(entry);
      version.hasNewFiles = true;
      version.refusedFingerprint = null;
      version.reason = null;
      if (entry === null) continue;
      if (entry.manifest === null) this.lifecycle.refuse(version, entry.reason ?? '', performance.now());
      else this.lifecycle.found(version);
    }
  }

  private publish(nowMs: number): void {
    const { placement, numbers, releases } = this.options;
    const versions = this.versions.all();
    const workers = placement.current.workers.map((worker) => ({
      worker,
      models: modelsOf(worker, versions, nowMs),
      gpuRefusal: gpuRefusalOf(worker, versions),
    }));
    const changed = {
      versions: placedVersions(versions),
      graphs: placedGraphs(versions, nowMs),
      releases: releases.place(this.versions),
      repository: {
        ...numbers.memory(({ name, version, revision, fingerprint }) => this.isKnown(name, version, revision, fingerprint)),
        commanded: versions.flatMap(({ name, version, command }) =>
          command === null ? [] : [{ name, version, isLoaded: command === 'load' }],
        ),
      },
    };
    const text = JSON.stringify([changed, workers.map(({ models, gpuRefusal }) => [models, gpuRefusal])]);
    if (text === this.published) return;
    for (const { worker, ...told } of workers) Object.assign(worker, told);
    placement.change(changed);
    this.published = text;
  }

  private isKnown(name: string, version: string, revision: number, fingerprint: string): boolean {
    const state = this.versions.find(name, version);
    return (
      state !== undefined && (state.entry?.fingerprint === fingerprint || revisionsOf(state).some(({ number }) => number === revision))
    );
  }

  private laneOf(workerId: string): Lane {
    return this.options.placement.current.workers.find(({ id }) => id === workerId)?.lane ?? 'batch';
  }

  private tellWaiters(): void {
    for (const turned of [...this.waiters]) turned();
  }
}

/** It is to be loaded, and finds no room. */
function isBehind(version: VersionState): boolean {
  const { isToLoad, isEvicted, next } = version;
  return isToLoad && !isEvicted && next === null && !isRefused(version) && !isCurrent(version);
}

import type { QuarantinedModel, RepositoryEvent, WorkerPlan } from '@app/contracts';
import { PlacementError } from '../placement/partition';
import type { RepositoryEvents } from './events';
import type { RevisionNumbers } from './numbers';
import { withoutQuarantined } from './placed';
import type { RevisionPlanner } from './planner';
import type { Revision, VersionState } from './revision';

/** What was prepared for a revision still finds it for so long. */
export const LINGER_MS = 2000;

/** Which models are out of service because they kill workers. */
export interface Quarantine {
  models(): readonly QuarantinedModel[];
  /** Its deaths were those of files that are not run any more; it is not quarantined. Takes effect with the next placement. */
  forget(name: string, version: string): void;
}

export interface LifecycleOptions {
  events: RepositoryEvents;
  numbers: RevisionNumbers;
  plan: RevisionPlanner;
  quarantine: Quarantine;
  workers: () => readonly WorkerPlan[];
}

/** The steps from one revision of a model version to the next, each with its event. `nowMs` is on the clock of `performance.now`. */
export class Lifecycle {
  constructor(private readonly options: LifecycleOptions) {}

  /** The revision of the files as they are. Null: they cannot be placed, and are refused. */
  revisionOf(version: VersionState, nowMs: number): Revision | null {
    const { entry, name, version: number } = version;
    if (entry === null) return null;
    try {
      return this.options.plan(entry, this.options.numbers.numberOf(name, number, entry.fingerprint), version.graphFiles);
    } catch (error) {
      if (!(error instanceof PlacementError)) throw error;
      this.refuse(version, error.message, nowMs);
      return null;
    }
  }

  /** `revision` is on its way to the processes. */
  begin(version: VersionState, revision: Revision, isTrial: boolean, nowMs: number): void {
    this.dropNext(version, nowMs);
    if (version.hasNewFiles) this.leaveQuarantine(version, nowMs);
    version.hasNewFiles = false;
    version.leaving = version.leaving.filter(({ revision: { number } }) => number !== revision.number);
    version.next = { revision, isTrial, readyAtMs: null, deaths: 0, failure: null };
    version.loadedAtMs = nowMs;
    version.usedAtMs = nowMs;
    version.isEvicted = false;
    version.reason = null;
  }

  /** The folder has files of it that are new. */
  found(version: VersionState): void {
    this.tell(version, null, 'found', 'new files were found');
  }

  /** `next` answers requests from now on. `reason`: why a worker does not serve it. */
  serve(version: VersionState, reason: string | null, nowMs: number): void {
    const { next, serving } = version;
    if (next === null) return;
    Object.assign(version, {
      serving: next.revision,
      next: null,
      reason,
      loadedAtMs: nowMs,
      wantedUntilMs: 0,
      isOnDemand: false,
      isHeld: false,
    });
    const inPlace = serving === null ? '' : ` in place of revision ${serving.number}`;
    this.tell(
      version,
      next.revision,
      'serving',
      `revision ${next.revision.number} serves${inPlace}${reason === null ? '' : `; ${reason}`}`,
    );
    if (serving !== null) this.leave(version, serving, nowMs + LINGER_MS);
  }

  /** The files as they are cannot be served: what serves goes on. */
  refuse(version: VersionState, reason: string, nowMs: number): void {
    const { serving, next, entry, name, version: number } = version;
    version.refusedFingerprint = entry?.fingerprint ?? null;
    version.wantedUntilMs = 0;
    version.reason = serving === null ? reason : `its new files cannot be served: ${reason}`;
    if ((next?.deaths ?? 0) > 0) this.options.quarantine.forget(name, number);
    const goesOn = serving === null ? '' : `; revision ${serving.number} goes on`;
    this.tell(version, next?.revision ?? null, serving === null ? 'failed' : 'kept', `${version.reason}${goesOn}`);
    this.dropNext(version, nowMs);
  }

  /** No worker can serve it, and nothing else serves: it stays with the workers, one of which may be started again. */
  fail(version: VersionState, reason: string): void {
    const { next } = version;
    if (next === null || next.failure === reason) return;
    next.failure = reason;
    version.reason = reason;
    this.tell(version, next.revision, 'failed', reason);
  }

  /** New requests do not get it any more; live workers have it for `lingerMs`. */
  unload(version: VersionState, reason: string, nowMs: number, lingerMs = LINGER_MS): void {
    const { serving } = version;
    this.tell(version, serving ?? version.next?.revision ?? null, 'unloaded', reason);
    this.dropNext(version, nowMs);
    version.serving = null;
    version.reason = reason;
    if (serving !== null) this.leave(version, serving, nowMs + lingerMs);
  }

  /** What is on its way is not needed any more. */
  dropNext(version: VersionState, nowMs: number): void {
    const { next } = version;
    version.next = null;
    if (next !== null) this.leave(version, next.revision, nowMs);
  }

  retired(version: VersionState, revision: Revision): void {
    this.tell(version, revision, 'retired', `no worker has revision ${revision.number} any more`);
  }

  private leave(version: VersionState, revision: Revision, untilMs: number): void {
    version.leaving.push({ revision, untilMs, isPinnedByBatch: true });
  }

  /** Its new files get a chance, in lanes where those before are out of service. */
  private leaveQuarantine(version: VersionState, nowMs: number): void {
    const { quarantine, workers } = this.options;
    const { name, version: number, serving } = version;
    const own = quarantine.models().filter((model) => model.name === name && model.version === number);
    if (own.length === 0) return;
    version.serving = withoutQuarantined(version, own, workers());
    if (serving !== null && version.serving === null) this.leave(version, serving, nowMs);
    quarantine.forget(name, number);
  }

  private tell(version: VersionState, revision: Revision | null, kind: RepositoryEvent['kind'], message: string): void {
    const { name: model, version: number } = version;
    this.options.events.add({ model, version: number, revision: revision?.number ?? null, kind, message });
  }
}

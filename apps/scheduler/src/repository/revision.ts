import type { GraphPlan, GraphStepPlan, WorkerModelPlan } from '@app/contracts';
import type { RepositoryEntry } from '@app/models';

/** One set of files of a model version, as workers are told of it. */
export interface Revision {
  number: number;
  fingerprint: string;
  /** By the id of the worker; empty for a graph. */
  plans: ReadonlyMap<string, WorkerModelPlan>;
  /** What it runs, if it is a graph of other models; null: it has a file of its own. */
  graph: GraphPlan | null;
  /** Why workers without a GPU refuse it, by their ids. */
  gpuRefusals: ReadonlyMap<string, string>;
  /** Of its graph with external data. */
  bytes: number;
  /** `model.yaml: pinned`. */
  isPinned: boolean;
}

/** A revision on its way. */
export interface NextRevision {
  revision: Revision;
  /** Something of the model served when it began: one failure anywhere, and it is taken back. */
  isTrial: boolean;
  /** When every process had it, and only costs were waited for; null: not yet. */
  readyAtMs: number | null;
  /** Workers that died of it. */
  deaths: number;
  /** Why no worker can serve it, where nothing else serves either: it stays in the plans, for a worker that is started again. */
  failure: string | null;
}

/** A revision that no new request gets. */
export interface LeavingRevision {
  revision: Revision;
  /** Live workers have it until then. */
  untilMs: number;
  /** Batch workers have it for as long as a batch needs it. */
  isPinnedByBatch: boolean;
}

/** What a graph is made of as the models are now. */
export interface GraphFiles {
  /** Of its own files; that of its entry is of the files of its steps as well. */
  fingerprint: string;
  /** The version of each step, chosen when its files were read. */
  versions: readonly string[];
  /** In the order of its manifest; null: not all are known. */
  steps: readonly GraphStepPlan[] | null;
}

/** One model version of this node. Changed by `ModelRepository` alone. */
export interface VersionState {
  name: string;
  version: string;
  /** Its files as they are in the folder; null: they are gone. */
  entry: RepositoryEntry | null;
  /** Null: it has a file of its own. */
  graphFiles: GraphFiles | null;
  /** Its files changed since it was last loaded: deaths of workers by those before do not count. */
  hasNewFiles: boolean;
  serving: Revision | null;
  /** What serves stays until somebody loads other files by command, although those in the folder are others. */
  isHeld: boolean;
  next: NextRevision | null;
  leaving: LeavingRevision[];
  /** Fingerprint of files that were tried and do not serve: not tried again. */
  refusedFingerprint: string | null;
  reason: string | null;
  /** By mode, commands and release.yaml it is to be loaded. */
  isToLoad: boolean;
  /** What somebody told by command; null: nothing. */
  command: 'load' | 'unload' | null;
  /** Somebody waits for it: room is made. Until then, on the clock of `performance.now`. */
  wantedUntilMs: number;
  /** When the first of those who wait asked; they get room in that order. */
  wantedSinceMs: number;
  /** It was unloaded to make room, or found none at the start: it is loaded for whoever asks. */
  isEvicted: boolean;
  /** It was evicted, and does not serve again yet. */
  isOnDemand: boolean;
  loadedAtMs: number;
  usedAtMs: number;
}

export function newVersion(name: string, version: string): VersionState {
  return {
    name,
    version,
    entry: null,
    graphFiles: null,
    hasNewFiles: false,
    serving: null,
    isHeld: false,
    next: null,
    leaving: [],
    refusedFingerprint: null,
    reason: null,
    isToLoad: false,
    command: null,
    wantedUntilMs: 0,
    wantedSinceMs: 0,
    isEvicted: false,
    isOnDemand: false,
    loadedAtMs: 0,
    usedAtMs: 0,
  };
}

/** All that workers have, or had a moment ago. */
export function revisionsOf({ serving, next, leaving }: VersionState): Revision[] {
  return [...leaving.map(({ revision }) => revision), ...(serving === null ? [] : [serving]), ...(next === null ? [] : [next.revision])];
}

export const isLoaded = ({ serving, next }: VersionState): boolean => serving !== null || next !== null;

/** What serves is what is to serve. */
export const isCurrent = ({ serving, entry, isHeld }: VersionState): boolean =>
  serving !== null && (isHeld || serving.fingerprint === entry?.fingerprint);

/** What is on its way cannot be served by any worker, as it seems. */
export const isFailing = ({ next }: VersionState): boolean => next !== null && next.failure !== null;

/** By name, then number of the version. */
export function byNameAndVersion(a: Pick<VersionState, 'name' | 'version'>, b: Pick<VersionState, 'name' | 'version'>): number {
  if (a.name !== b.name) return a.name < b.name ? -1 : 1;
  return Number(a.version) - Number(b.version);
}

/**
 * One model version of the repository as the scheduler stands to it; part of the placement. The processes that answer serve
 * `serving`; where it is null, `next` as soon as it is ready.
 */
export interface PlacedVersion {
  name: string;
  version: string;
  /** The revision that answers requests; null: none does yet. */
  serving: number | null;
  /** The revision that takes over once every process has it; null: none is on its way. */
  next: number | null;
  /** `unloaded`: its files are there, and it is loaded for whoever asks, or by command. */
  state: 'loading' | 'serving' | 'unloaded' | 'failed';
  /** Why it is not served, or why the last change of its files did not take over; null: neither. */
  reason: string | null;
  /** It is not loaded, or loading again, only to keep within the memory that models may take: a request for it loads it. */
  onDemand?: boolean;
}

/** A part of the requests that name no version goes to `version`; those of one caller always go the same way. */
export interface CanaryRule {
  version: string;
  trafficPercent: number;
}

/** A part of the live requests runs again in the batch lane on `version`, and the answers are compared. */
export interface MirrorRule {
  version: string;
  percent: number;
}

/** When a canary is taken back. Null: not judged. */
export interface RollbackRule {
  /** Its p99 divided by that of the stable version. */
  p99Ratio: number | null;
  /** Part of its requests that fail, 0 to 1. */
  errorRate: number | null;
  /** Least part of compared answers that agree with the stable version's, 0 to 1. */
  minAgreement: number | null;
  /** What is judged: requests of the last so many ms. */
  windowMs: number;
}

/** When a canary becomes stable by itself: after so long and so many requests without a reason to take it back. */
export interface PromoteRule {
  afterMs: number;
  requestsMin: number;
}

/** Which versions of one model serve whom, decisions included; part of the placement. */
export interface PlacedRelease {
  name: string;
  /** The version that requests without one get, by name `stable`, and others that requests may name as `model:label`. */
  labels: Record<string, string>;
  canary: CanaryRule | null;
  mirror: MirrorRule | null;
  rollback: RollbackRule | null;
  promote: PromoteRule | null;
}

/** What a process that answers requests says of a revision that it was told of. */
export interface RevisionBinding {
  revision: number;
  /** Why it cannot answer with it; null: it can. */
  problem: string | null;
}

/** What became of a model on this node, and why. */
export interface RepositoryEvent {
  /** Unix milliseconds. */
  atMs: number;
  model: string;
  /** Null: it is of no single version. */
  version: string | null;
  revision: number | null;
  /** `kept`: its new files were refused, and those before go on. */
  kind: 'found' | 'serving' | 'failed' | 'kept' | 'retired' | 'unloaded' | 'release' | 'promoted' | 'rolled-back' | 'problem';
  message: string;
}

/** A model version, or all of a model's, as commands name them. */
export interface ModelCommand {
  name: string;
  version?: string;
}

/** Told to the scheduler: it answers once the model serves, or with the reason. */
export interface LoadCommand extends ModelCommand {
  waitMs?: number;
}

/** What becomes of a model that somebody wants. `unavailable`: waiting for it is of no use, for this reason. */
export interface WantedModel {
  state: 'serving' | 'loading' | 'unavailable';
  reason: string | null;
}

export type ReleaseAction = 'promote' | 'rollback';

/** Told to the scheduler about a canary, by hand or because a rule of release.yaml says so. */
export interface DecideCommand {
  name: string;
  action: ReleaseAction;
  /** Absent: the version that is the canary now. */
  version?: string;
  reason: string;
  by: 'rule' | 'command';
  /** What was measured, for people to read. */
  figures?: object;
}

/** What a scheduler keeps in the placement for the next one; nobody else reads it. */
export interface RepositoryMemory {
  /** The highest number that a revision ever had. */
  lastRevision: number;
  /** Of all versions that were there at the last look, loaded or not, and of those that are still served. */
  revisions: { name: string; version: string; fingerprint: string; revision: number }[];
  /** Versions that somebody loaded or unloaded by command. */
  commanded: { name: string; version: string; isLoaded: boolean }[];
}

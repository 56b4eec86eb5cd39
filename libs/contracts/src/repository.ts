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
}

/** What a process that answers has of one revision. */
export interface RevisionBinding {
  revision: number;
  /** Why it cannot answer with it; null: it can. */
  problem: string | null;
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

/** Part of `GET /status` of the scheduler: how the batch lane is limited for the sake of live requests. */
export interface LaneControlStatus {
  /** A one-second slot without batch runs is under way. */
  isHeldOff: boolean;
  /** Such slots so far. */
  heldOffSlots: number;
  batchWorkers: BatchControlStatus[];
  guards: GuardStatus[];
  inflation: InflationStatus[];
}

/**
 * `open`: not limited. `limited`: fewer executors and shorter runs. `paused`: only the floor. `unreachable`: only the floor, and
 * live answers are too late all the same.
 */
export const BATCH_CONTROL_STATES = ['open', 'limited', 'paused', 'unreachable'] as const;
export type BatchControlState = (typeof BATCH_CONTROL_STATES)[number];

export interface BatchControlStatus {
  worker: string;
  state: BatchControlState;
  /** That may begin runs; 0: only the floor. Without what guards withdraw. */
  executors: number;
  executorsMax: number;
  /** Longest predicted run. */
  runMsMax: number;
  /** (goal − p99) ÷ goal of the model that is nearest to its goal; null: no goal, or too few answers. */
  slack: number | null;
  /** Why it was last changed; null while it never was. */
  reason: string | null;
  /** Runs that the floor allowed. */
  floorRuns: number;
}

/** The bandwidth guard of one live worker. */
export interface GuardStatus {
  worker: string;
  /** Executors of each batch worker beside it that it withdraws now. */
  withdrawn: number;
  withdrawals: number;
  /** Cost of live runs beside batch runs, as a ratio to quiet ones; null: not known yet. */
  ratio: number | null;
  /** Above which it acts; null: too few quiet runs were seen. */
  limit: number | null;
}

/** What the batch lane costs the live answers of a model: p99 beside batch runs ÷ p99 in slots without any. */
export interface InflationStatus {
  worker: string;
  model: string;
  version: string;
  /** Null: too few answers of one kind. */
  inflation: number | null;
  sharedP99Ms: number | null;
  aloneP99Ms: number | null;
  sharedAnswers: number;
  aloneAnswers: number;
}

/** `GET /lane` of a live worker: its live items since its start, as bucket, count, bucket, count. */
export interface WorkerLaneReport {
  service: { name: string; version: string; shared: number[]; alone: number[]; other: number[] }[];
}

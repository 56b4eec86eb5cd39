import type {
  BatchStatus,
  BreakerStatus,
  FleetView,
  Lane,
  LaneControlStatus,
  ModelComparison,
  ModelState,
  PreemptionProof,
  SupervisedProcessStatus,
} from '@app/contracts';

/** `GET /dashboard/state`. Null stands for what is not known (yet); rates and quantiles are over the last seconds. */
export interface DashboardState {
  /** Milliseconds since 1970. */
  atMs: number;
  version: string;
  /** Why the server is not ready; null when it is. */
  notReady: string | null;
  /** Null while the runner does not answer. */
  redisIsReady: boolean | null;
  /** How late the event loop of the API was, 99th percentile; the worst of its processes. */
  eventLoopDelayMs: number | null;
  /** Whether batches give way to live requests; null while the scheduler does not answer. */
  preemption: Pick<PreemptionProof, 'verdict' | 'reason'> | null;
  lanes: LaneState[];
  processes: SupervisedProcessStatus[];
  workers: WorkerState[];
  /** Canaries and mirrored versions, and models of which somebody decided; comparisons are those of this API process. */
  releases: ReleaseView[];
  /** How the batch lane is limited for live requests; null while the scheduler does not answer. */
  laneControl: LaneControlStatus | null;
  batches: BatchState[];
  /** Null: the node is alone. */
  fleet: FleetView | null;
  /** Of this API process. */
  breakers: BreakerStatus[];
  frontDoor: FrontDoorState;
}

/** One tested version beside the stable one, or a model without one whose last decision is known. */
export interface ReleaseView {
  model: string;
  /** Null: the newest version that serves. */
  stable: string | null;
  canary: { version: string; percent: number } | null;
  mirror: { version: string; percent: number } | null;
  /** Of the canary, or else of the mirrored version; null: nothing was compared here. */
  comparison: ModelComparison | null;
  /** Null: none that the scheduler remembers. */
  lastDecision: { atMs: number; text: string } | null;
}

/** Counted since this API process started, but for rates. */
export interface FrontDoorState {
  tenants: {
    tenant: string;
    /** Executor milliseconds per second; null: no limit. */
    shareMsPerSecond: number | null;
    usedMsPerSecond: number | null;
    /** Requests that wait for the live executors or run there. */
    inFlight: number;
    refused: number;
  }[];
  tiers: { tier: string; requests: number; requestsPerSecond: number | null }[];
  grpc: { method: string; open: number; calls: { status: string; calls: number }[] }[];
  /** Items, of models that keep answers. */
  cache: { bytes: number; models: { model: string; hits: number; misses: number }[] };
  /** `ending`: within 14 days. */
  keys: { valid: number; ending: number; expired: number; requestsWithout: number };
}

export interface LaneState {
  lane: Lane;
  /** Items that wait in the workers' queues. */
  queueItems: number;
  rowsPerSecond: number | null;
  rowsPerRun: number | null;
  /** Share of the tokens run that was padding. */
  paddingShare: number | null;
  /** Live requests only. */
  requestsPerSecond: number | null;
  errorsPerSecond: number | null;
  p50Ms: number | null;
  p99Ms: number | null;
}

/** `state`: as the worker says, else as the scheduler does, else `no answer`. */
export interface WorkerState extends Omit<SupervisedProcessStatus, 'state'> {
  state: string;
  lane: Lane;
  cpus: number[];
  queueItems: number | null;
  /** `merging`: whether rows share runs, and why not; null until it is ready. */
  models: { name: string; version: string; state: ModelState | 'quarantined'; reason: string | null; merging: string | null }[];
}

export interface BatchState {
  id: string;
  endpoint: string;
  model: string | null;
  status: BatchStatus;
  total: number;
  completed: number;
  failed: number;
  createdAtMs: number;
  /** Why it does not go on. */
  paused: string | null;
}

import type { BatchProgress, BatchStatus } from './batches';
import type { BreakerStatus } from './breakers';
import type { LaneControlStatus } from './lane-control';
import type { Placement } from './placement';
import type { PreemptionProof } from './preemption';
import type { ModelComparison } from './releases';
import type { PlacedRelease, PlacedVersion, RepositoryEvent, RevisionBinding } from './repository';
import type { Lane } from './stages';
import type { IsolationTool } from './worker-status';

export const LOG_LEVELS = ['fatal', 'error', 'warn', 'info', 'debug', 'trace'] as const;
export type LogLevel = (typeof LOG_LEVELS)[number];

/** How much the processes of a node log. */
export interface NodeLogLevels {
  /** Of the scheduler, and of those that it starts. */
  level: LogLevel;
  /** By process; null: it did not answer. */
  processes: Record<string, LogLevel | null>;
}

/** State of a process that the scheduler keeps running; `backoff`: it ended and waits for its next start. */
export type ProcessState = 'stopped' | 'starting' | 'ready' | 'draining' | 'backoff';

export interface SupervisedProcessStatus {
  id: string;
  pid: number | null;
  state: ProcessState;
  restarts: number;
  /** Why it last ended; null while it never did. */
  reason: string | null;
}

export interface SupervisedWorkerStatus extends SupervisedProcessStatus {
  lane: Lane;
  cpus: number[];
}

/** `GET /status` of the scheduler. */
export interface SchedulerProcessStatus {
  processes: SupervisedProcessStatus[];
  workers: SupervisedWorkerStatus[];
  /** Null when the node uses a Redis that the scheduler did not start. */
  redis: SupervisedProcessStatus | null;
  placement: Placement;
  /** Whether batch executors give way to live ones, measured before the workers were started. */
  preemption: PreemptionProof;
  /** Null: this scheduler looks after no workers. */
  laneControl: LaneControlStatus | null;
  versions: PlacedVersion[];
  releases: PlacedRelease[];
  /** The newest ones, in order of time. */
  events: RepositoryEvent[];
  /** Why MODELS_DIR could not be looked at; null: it could. Absent: it is of a former release. */
  folderProblem?: string | null;
}

/** `GET /status` of an API process. */
export interface ApiProcessStatus {
  id: string;
  pid: number;
  /** Null until it listens. */
  url: string | null;
  /** Host and port of gRPC; null until it listens. */
  grpcAddress: string | null;
  /** Why the node is not ready; null when it is. */
  missing: string | null;
  inFlightItems: number;
  /** Revisions that it has bound, or why it cannot; one that is not there is still being bound. Absent: it has bound everything. */
  models?: RevisionBinding[];
  /** Of canaries and mirrored versions, at most 256; absent: there are none. */
  comparisons?: ModelComparison[];
  /** Absent: it is of a former release. */
  breakers?: BreakerStatus[];
}

export interface ActiveBatchStatus {
  id: string;
  status: BatchStatus;
  total: number;
  completed: number;
  /** Without those that were not run. */
  failed: number;
  runningChunks: number;
  /** Why it does not go on; null: it does. */
  paused: string | null;
  /** Predicted; null: not known. */
  secondsLeft: number | null;
  /** Absent, as the next two: it is of a former release. */
  model?: string | null;
  endpoint?: string;
  /** Null: nothing is known yet. */
  progress?: Pick<BatchProgress, 'rows_per_second' | 'seconds_left'> | null;
  /** For how long no row was done; null: it is not in progress, or paused. */
  progressAgeSeconds: number | null;
}

/** `GET /status` of the runner. */
export interface RunnerProcessStatus {
  batches: ActiveBatchStatus[];
  /** Committed rows, over the last seconds. */
  rowsPerSecond: number;
  /**
   * Predicted time of one executor for the rows that are not committed, by what the last rows took: with the time in which live
   * requests held its CPU. In seconds; 0 before any row ran.
   */
  backlogSeconds: number;
  /** `oldestSeconds`: since a node took the one that has run longest, of the batches that this node owns; 0: none runs. */
  chunks: { running: number; waiting: number; oldestSeconds: number };
  redisIsReady: boolean;
  /** Batches that this runner owned and that are over, the newest last; at most 20. Absent: it is of a former release. */
  ended?: Pick<ActiveBatchStatus, 'id' | 'status' | 'total' | 'completed' | 'failed'>[];
  /** Tools of the process. Absent: it is of a former release. */
  isolation?: IsolationTool[];
  /** As `ApiProcessStatus.models`. */
  models?: RevisionBinding[];
  /** Those that unfinished batches began with; null: not known yet. Absent: none. */
  pinnedRevisions?: number[] | null;
}

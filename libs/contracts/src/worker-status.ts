import type { ModelReport } from './models';
import type { Lane } from './stages';

export const ISOLATION_STATES = ['active', 'off', 'unavailable'] as const;

/**
 * What keeps an executor, a worker or the runner apart from the others; the first four tools are of one executor, the last one of the
 * runner.
 */
export interface IsolationTool {
  tool:
    | ('cpu-affinity' | 'scheduling-class' | 'scheduling-slice' | 'nice')
    | ('process-affinity' | 'numa-binding' | 'memory-limit' | 'oom-score' | 'cpu-idle' | 'idle-latency' | 'io-class');
  /** `off`: not wanted in this lane or on this machine. */
  state: (typeof ISOLATION_STATES)[number];
  /** Why it is unavailable; may say why it is off, or by what means it is active. */
  reason: string | null;
}

/** One native thread that takes and does runs. */
export interface ExecutorStatus {
  cpu: number;
  /** Empty until it has started. */
  isolation: IsolationTool[];
}

export interface ModelQueueStatus {
  name: string;
  version: string;
  waitingItems: number;
  /** How long the item at the front has waited. */
  oldestAgeSeconds: number;
}

/**
 * `waiting`: nothing is measured yet, analytic values hold. `measuring`: this worker measures. `measured`: the table in
 * use was measured. `skipped`: it will not be measured, analytic values hold.
 */
export const CALIBRATION_STATES = ['waiting', 'measuring', 'measured', 'skipped'] as const;
export type CalibrationState = (typeof CALIBRATION_STATES)[number];

export interface CalibrationStatus {
  name: string;
  version: string;
  /** As `WorkerModelPlan.revision`. */
  revision?: number;
  state: CalibrationState;
  /** Why it is `skipped`; null otherwise. */
  reason: string | null;
}

/** In bytes. */
export interface WorkerMemory {
  /** Now, without pages of files and channels: what the limit counts. */
  resident: number;
  /** Files of its models, with external data: about what they take at least. */
  modelFiles: number;
  /** Its share of the partition's `memory`; null: none. */
  limit: number | null;
}

/** `GET /status` of a worker process. */
export interface WorkerProcessStatus {
  id: string;
  lane: Lane;
  pid: number;
  state: 'serving' | 'draining';
  models: ModelReport[];
  memory: WorkerMemory;
  /** Tools of the process as a whole. */
  isolation: IsolationTool[];
  executors: ExecutorStatus[];
  queue: ModelQueueStatus[];
  calibration: CalibrationStatus[];
}

import type { ModelReport } from './models';
import type { Lane } from './stages';

/** What keeps one executor apart from the others. */
export interface IsolationTool {
  tool: 'cpu-affinity' | 'scheduling-class' | 'scheduling-slice' | 'nice';
  /** `off`: not wanted in this lane. */
  state: 'active' | 'unavailable' | 'off';
  /** Why it is unavailable. */
  reason: string | null;
}

/** One native thread that forms and runs batches. */
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

/** `GET /status` of a worker process. */
export interface WorkerProcessStatus {
  id: string;
  lane: Lane;
  pid: number;
  state: 'serving' | 'draining';
  models: ModelReport[];
  executors: ExecutorStatus[];
  queue: ModelQueueStatus[];
}

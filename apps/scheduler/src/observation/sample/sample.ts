import type {
  ApiProcessStatus,
  FleetView,
  NodeView,
  RunnerProcessStatus,
  SchedulerProcessStatus,
  WorkerProcessStatus,
} from '@app/contracts';
import type { CpuReading } from '../cpu/cpu-reading';
import type { MetricsView } from './metrics-view';

/** What all processes said at one moment; null: no answer in time. */
export interface Sample {
  /** Unix milliseconds. */
  atMs: number;
  /** Milliseconds on the steady clock of `performance.now()`. */
  steadyMs: number;
  scheduler: SchedulerProcessStatus;
  /** One for each worker of the placement. */
  workers: ReadonlyMap<string, WorkerProcessStatus | null>;
  /** Workers that are started and did not answer, this time and the time before. */
  silentWorkers: ReadonlySet<string>;
  runner: RunnerProcessStatus | null;
  /** The process that answers callers. */
  api: ApiProcessStatus | null;
  /** Null: the node is alone, or the API does not answer. */
  fleet: FleetView | null;
  /** Of all that answered; gauges are read from here, what was counted from the windows. */
  metrics: MetricsView;
  cpu: CpuReading | null;
  disk: NodeView['node']['disk'];
}

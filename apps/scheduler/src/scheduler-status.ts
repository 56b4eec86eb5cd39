import type { Lane, LaneControlStatus, Placement, PreemptionProof } from '@app/contracts';
import type { ProcessState, SupervisedProcess } from './supervision/supervised-process';

export interface ProcessStatus {
  id: string;
  pid: number | null;
  state: ProcessState;
  restarts: number;
  /** Why it last ended; null while it never did. */
  reason: string | null;
}

export interface WorkerStatus extends ProcessStatus {
  lane: Lane;
  cpus: number[];
}

/** `GET /status` on the scheduler's status socket. */
export interface SchedulerStatus {
  processes: ProcessStatus[];
  workers: WorkerStatus[];
  /** Null when Redis is somebody else's. */
  redis: ProcessStatus | null;
  placement: Placement;
  /** Whether batch executors give way to live ones, measured before the workers were started. */
  preemption: PreemptionProof;
  /** Null: this scheduler looks after no workers. */
  laneControl: LaneControlStatus | null;
}

export function schedulerStatus(
  placement: Placement,
  lanes: Pick<SchedulerStatus, 'preemption' | 'laneControl'>,
  processes: readonly SupervisedProcess[],
): SchedulerStatus {
  const statuses = processes.map(statusOf);
  return {
    processes: statuses,
    workers: placement.workers.flatMap(({ id, lane, cpus }) => statuses.filter((status) => status.id === id).map((status) => ({ ...status, lane, cpus }))),
    redis: statuses.find(({ id }) => id === 'redis') ?? null,
    placement,
    ...lanes,
  };
}

function statusOf({ spec, pid, state, restarts, reason }: SupervisedProcess): ProcessStatus {
  return { id: spec.id, pid, state, restarts, reason };
}

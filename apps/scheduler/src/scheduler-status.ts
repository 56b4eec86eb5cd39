import type { Placement, SchedulerProcessStatus, SupervisedProcessStatus } from '@app/contracts';
import type { SupervisedProcess } from './supervision/supervised-process';

export function schedulerStatus(
  placement: Placement,
  lanes: Pick<SchedulerProcessStatus, 'preemption' | 'laneControl'>,
  processes: readonly SupervisedProcess[],
): SchedulerProcessStatus {
  const statuses = processes.map(statusOf);
  return {
    processes: statuses,
    workers: placement.workers.flatMap(({ id, lane, cpus }) =>
      statuses.filter((status) => status.id === id).map((status) => ({ ...status, lane, cpus })),
    ),
    redis: statuses.find(({ id }) => id === 'redis') ?? null,
    placement,
    ...lanes,
  };
}

function statusOf({ spec, pid, state, restarts, reason }: SupervisedProcess): SupervisedProcessStatus {
  return { id: spec.id, pid, state, restarts, reason };
}

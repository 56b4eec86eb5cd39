import type { WorkerPlan, WorkerProcessStatus } from '@app/contracts';
import type { WorkerHandle } from '@app/native';
import { workerMemory } from './worker-memory';

/** What `GET /status` answers. */
export function workerStatus(
  plan: WorkerPlan,
  state: WorkerProcessStatus['state'],
  worker: WorkerHandle,
  known: Pick<WorkerProcessStatus, 'isolation' | 'calibration'>,
): WorkerProcessStatus {
  const models = worker.models();
  return {
    id: plan.id,
    lane: plan.lane,
    pid: process.pid,
    state,
    models: [...models, ...worker.leavingModels()],
    memory: workerMemory(plan),
    executors: worker.executors(),
    queue: worker
      .stats()
      .filter(({ name, version, queueItems }) => queueItems > 0 || models.some((model) => model.name === name && model.version === version))
      .map(({ name, version, queueItems, queueAgeSeconds }) => ({
        name,
        version,
        waitingItems: queueItems,
        oldestAgeSeconds: queueAgeSeconds,
      })),
    ...known,
  };
}

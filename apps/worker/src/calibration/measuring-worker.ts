import type { Placement, WorkerModelPlan, WorkerPlan } from '@app/contracts';

/** Whether `worker` measures what runs of `model` cost. A batch worker does it where one runs them alike: that disturbs nobody. */
export function measuresCosts(
  worker: Pick<WorkerPlan, 'lane'>,
  { workers }: Pick<Placement, 'workers'>,
  { name, version, executorThreads }: Pick<WorkerModelPlan, 'name' | 'version' | 'executorThreads'>,
): boolean {
  if (worker.lane === 'batch') return true;
  return !workers.some(
    ({ lane, models }) =>
      lane === 'batch' &&
      models.some((model) => model.name === name && model.version === version && model.executorThreads === executorThreads),
  );
}

import type { HeartbeatReading } from './heartbeat-file';
import type { ProcessExit } from './process-handle';

/** What a worker died of. */
export interface Culprit {
  /** Position of the model in the worker's plan. */
  model: number;
  whileLoading: boolean;
}

/**
 * The model that the worker named itself, else, after a crash, the only one that ran. Null: nobody can be blamed.
 */
export function culpritOf({ isCrash }: ProcessExit, { culprit, activities }: HeartbeatReading): Culprit | null {
  const models = new Set(activities.map(({ model }) => model));
  const [only] = models;
  const model = culprit ?? (isCrash && models.size === 1 ? only : undefined);
  if (model === undefined) return null;
  const own = activities.filter((activity) => activity.model === model);
  return { model, whileLoading: own.length > 0 && own.every(({ isLoading }) => isLoading) };
}

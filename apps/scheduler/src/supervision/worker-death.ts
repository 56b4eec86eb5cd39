import type { HeartbeatReading } from './heartbeat-file';
import type { ProcessExit } from './process-handle';

/**
 * Position in the plan of the model that a worker died of: the one it named itself, else, after a crash, the only one
 * that ran. Null: nobody can be blamed.
 */
export function culpritOf({ isCrash }: ProcessExit, { culprit, activities }: HeartbeatReading): number | null {
  if (culprit !== null) return culprit;
  const models = new Set(activities.map(({ model }) => model));
  const [only] = models;
  return isCrash && models.size === 1 && only !== undefined ? only : null;
}

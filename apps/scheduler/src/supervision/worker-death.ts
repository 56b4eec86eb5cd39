import type { HeartbeatReading, ModelInPhase, Phase } from './heartbeat-file';
import type { ProcessExit } from './process-handle';

/** What a worker died of. */
export type Culprit = ModelInPhase;

/** Before a model can take items. */
export const isBeforeReady = (phase: Phase): boolean => phase === 'loading' || phase === 'probing';

/**
 * The model that the worker named itself. Else, when memory ran out, the one that has been loading for longest, whatever runs
 * beside it: that is what takes memory in large pieces. Else, after a crash, the only one that ran. Null: nobody can be blamed.
 */
export function culpritOf(
  { isCrash, mayBeOutOfMemory }: Pick<ProcessExit, 'isCrash' | 'mayBeOutOfMemory'>,
  { culprit, activities }: HeartbeatReading,
): Culprit | null {
  if (culprit !== null) return culprit;
  const [first] = activities;
  const oldestLoad = activities.filter(({ phase }) => isBeforeReady(phase)).sort((a, b) => Number(a.sinceNs - b.sinceNs))[0];
  if (mayBeOutOfMemory && oldestLoad !== undefined) return culpritIn(oldestLoad);
  return isCrash && first !== undefined && activities.every(({ revision }) => revision === first.revision) ? culpritIn(first) : null;
}

const culpritIn = ({ revision, phase }: ModelInPhase): Culprit => ({ revision, phase });

import { EventEmitter } from 'node:events';
import type { ProcessSpec } from './process-spec';
import type { Culprit } from './worker-death';

interface Events {
  /** A process was started again. */
  restart: [spec: ProcessSpec];
  /** A process ended by what it did itself, or hung and was killed. */
  crash: [spec: ProcessSpec];
  /** A process died of what it did with a model of its plan. */
  culprit: [spec: ProcessSpec, culprit: Culprit, reason: string];
  /** A worker died of a revision of a model. */
  revisionDeath: [revision: number, reason: string];
}

/** What becomes of the processes, for those that the supervisor does not know. Listeners run at once, in order, and must not throw. */
export class SupervisorEvents extends EventEmitter<Events> {}

import type { HangUp } from './hang-up';
import type { LiveTiming } from './live-timing';
import type { ErrorCode } from '@app/contracts';

/** Endpoint label of a live route in metrics. */
export type LiveEndpoint = 'predict' | 'infer' | 'embeddings';

/** What is remembered of a live request from accept to respond. */
export interface LiveContext {
  readonly endpoint: LiveEndpoint;
  readonly arrivedMs: number;
  /** Empty until the model is known to exist, so that callers cannot invent metric labels. */
  model: string;
  /** Code of the error that was answered; null when none was. */
  errorCode: ErrorCode | null;
  /** When its body began to be parsed, on the same clock; equal to `arrivedMs` until then. */
  admittedMs: number;
  /** Told when the connection closes. */
  readonly hangUp: HangUp;
  /** Null until it was answered. */
  timing: LiveTiming | null;
}

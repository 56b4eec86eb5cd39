export type BreakerState = 'closed' | 'half-open' | 'open';

/** A circuit breaker of an API process. */
export interface BreakerStatus {
  name: string;
  state: BreakerState;
  /** Milliseconds since 1970. */
  sinceMs: number;
  /** Why it is not closed; null when it is. */
  reason: string | null;
  /** Times it opened. */
  opened: number;
}

import type { LiveCall } from './live-call';
import { failedTiming, serverTiming, type LiveTiming } from './live-timing';

const SERVER_TIMING = 'server-timing';

/** Adds `Server-Timing` to what is said about an answer, with the span where the request is traced. */
export function noteTiming({ notes, trace }: LiveCall, timing: LiveTiming): void {
  const carrier = trace?.carrier ?? null;
  const text = serverTiming(timing);
  notes[SERVER_TIMING] = carrier === null ? text : `${text}, traceparent;desc="${carrier.traceparent}"`;
}

/** The same for one that ends with an error. What is not given was not reached; the first call for a request counts. */
export function noteFailure(call: LiveCall, moments: Partial<Parameters<typeof failedTiming>[0]> = {}): void {
  if (call.failedTiming !== null) return;
  const { arrivedMs } = call;
  call.failedTiming = failedTiming({ bodyReadMs: null, admittedMs: null, preparedMs: null, ...moments, arrivedMs }, performance.now());
  noteTiming(call, call.failedTiming);
}

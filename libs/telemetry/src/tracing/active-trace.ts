import type { TraceCarrier } from '@app/contracts';
import type * as OpenTelemetry from '@opentelemetry/api';

/** Loaded with the SDK; null while nothing is traced. */
let api: typeof OpenTelemetry | null = null;

/** For `openTracing` and its end. */
export function setTracingApi(loaded: typeof OpenTelemetry | null): void {
  api = loaded;
}

export const isTracing = (): boolean => api !== null;

/** Of a span in log lines, by the names that collectors know. */
export interface TraceFields {
  trace_id: string;
  span_id: string;
}

/** Of the span that is recorded around the caller; null: there is none. */
export function activeTrace(): TraceFields | null {
  const span = api?.trace.getActiveSpan();
  return span?.isRecording() === true ? traceFieldsOf(span) : null;
}

export function traceFieldsOf(span: OpenTelemetry.Span): TraceFields {
  const { traceId, spanId } = span.spanContext();
  return { trace_id: traceId, span_id: spanId };
}

/** For a process that does something for the caller later; null: no span is recorded around it. */
export function activeCarrier(): TraceCarrier | null {
  if (activeTrace() === null) return null;
  const carried: Partial<TraceCarrier> = {};
  api?.propagation.inject(api.context.active(), carried);
  return carried.traceparent === undefined ? null : { ...carried, traceparent: carried.traceparent };
}

/** Runs work that belongs to no request or batch, whatever it was begun in. */
export function detached<T>(work: () => T): T {
  return api === null ? work() : api.context.with(api.ROOT_CONTEXT, work);
}

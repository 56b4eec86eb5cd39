export * from './bounded-label';
export { CounterCells, GaugeCells, HistogramCells } from './cells';
export * from './event-loop';
export { createLogger, isLogLevel, type Logger } from './logger';
export * from './process-metrics';
export { activeCarrier, detached, isTracing, traceFieldsOf, type TraceFields } from './tracing/active-trace';
export { observeTracing, openTracing } from './tracing/open-tracing';
export { clockOffsetMs, traced, type Attributes, type Span, type SpanContext, type SpanParent, type Tracing } from './tracing/tracing';

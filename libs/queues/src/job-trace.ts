import type { TraceCarrier } from '@app/contracts';
import { isTracing } from '@app/telemetry';
import type { JobsOptions, Telemetry } from 'bullmq';

type QueueSpan = ReturnType<Telemetry['tracer']['startSpan']>;

/**
 * What a job is told of the trace that it belongs to, in the form that bullmq-otel reads; absent: it belongs to none, whoever queues it.
 */
export function jobTrace(trace: TraceCarrier | undefined): Pick<JobsOptions, 'telemetry'> {
  if (trace !== undefined) return { telemetry: { metadata: JSON.stringify(trace) } };
  return isTracing() ? { telemetry: { omitContext: true } } : {};
}

/**
 * BullMQ's own spans, through bullmq-otel. Only as parts of traces: by itself BullMQ would begin one each time that it looks for jobs.
 * Nothing is loaded while nothing is traced.
 */
export function queueTelemetry(): { telemetry?: Telemetry } {
  if (!isTracing()) return {};
  const { BullMQOtel } = require('bullmq-otel') as typeof import('bullmq-otel');
  const { ROOT_CONTEXT, trace } = require('@opentelemetry/api') as typeof import('@opentelemetry/api');
  const { tracer, contextManager: contexts } = new BullMQOtel({ tracerName: 'bullmq' }) as Telemetry;
  return {
    telemetry: {
      tracer: {
        startSpan: (name, options, context = contexts.active()) =>
          trace.getSpan(context) === undefined ? NO_SPAN : tracer.startSpan(name, options, context),
      },
      contextManager: {
        with: (context, work) => contexts.with(context, work),
        active: () => contexts.active(),
        root: () => ROOT_CONTEXT,
        getMetadata: (context) => contexts.getMetadata(context),
        fromMetadata: (active, metadata) => contexts.fromMetadata(active, metadata),
      },
    },
  };
}

const ignore = (): void => undefined;
const NO_SPAN: QueueSpan = {
  setSpanOnContext: (context) => context,
  setAttribute: ignore,
  setAttributes: ignore,
  addEvent: ignore,
  recordException: ignore,
  end: ignore,
};

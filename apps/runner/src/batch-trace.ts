import type { Manifest } from '@app/batches';
import { traced, type Attributes, type Span, type SpanParent, type Tracing } from '@app/telemetry';

/**
 * Does a part of the work for a batch in a span of the trace that the batch was submitted in; without one it just does it. What BullMQ
 * brought is below the span of its job.
 */
export function inBatchTrace<T>(
  tracing: Tracing | null,
  manifest: Manifest,
  name: string,
  work: (span: Span | null) => Promise<T>,
  attributes: Attributes = {},
): Promise<T> {
  const parent = tracing === null ? null : parentOf(tracing, manifest);
  return traced(tracing, name, parent, work, { attributes: { 'interleave.batch_id': manifest.batch.id, ...attributes } });
}

/** The batch as a whole, from when it was accepted, once it is over. */
export function traceWholeBatch(tracing: Tracing | null, { batch, trace }: Manifest): void {
  if (tracing === null || trace === undefined) return;
  const { id, endpoint, model, status, created_at: createdAt, request_counts: counts } = batch;
  const span = tracing.start('batch', trace, {
    startMs: createdAt * 1000,
    attributes: {
      'interleave.batch_id': id,
      'interleave.batch.status': status,
      'interleave.batch.endpoint': endpoint,
      'interleave.batch.rows': counts.total,
      'interleave.batch.rows_failed': counts.failed,
      ...(model !== undefined && { 'interleave.model': model }),
    },
  });
  if (status === 'failed') tracing.fail(span, status);
  span.end();
}

function parentOf(tracing: Tracing, { trace }: Manifest): SpanParent {
  if (trace === undefined) return null;
  const active = tracing.active();
  return active !== null && active.spanContext().traceId === tracing.spanContextOf(trace)?.traceId ? active : trace;
}

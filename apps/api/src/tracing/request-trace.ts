import type { TraceCarrier } from '@app/contracts';
import { clockOffsetMs, traceFieldsOf, type Attributes, type Span, type SpanParent, type TraceFields, type Tracing } from '@app/telemetry';

/** From this status on it is the server's fault. */
const SERVER_ERROR_MIN = 500;

/** The span of one request as this server sees it, and of what it is made of, once that is known. */
export class RequestTrace {
  /** For exemplars; null: the trace is not kept. */
  readonly traceId: string | null;
  private readonly span: Span;
  private readonly offsetMs = clockOffsetMs();

  /** Begins now, or at `startedMs` of `performance.now()`. */
  constructor(
    private readonly tracing: Tracing,
    name: string,
    parent: SpanParent,
    attributes: Attributes,
    { kind = 'server' as 'server' | 'internal', startedMs = performance.now() } = {},
  ) {
    this.span = tracing.start(name, parent, { kind, attributes, startMs: startedMs + this.offsetMs });
    this.traceId = this.span.isRecording() ? this.span.spanContext().traceId : null;
  }

  /** For log lines. */
  get fields(): TraceFields | null {
    return this.traceId === null ? null : traceFieldsOf(this.span);
  }

  /** For what is done for this request later, or elsewhere; null: nothing is to be kept of it. */
  get carrier(): TraceCarrier | null {
    return this.traceId === null ? null : this.tracing.carry(this.span);
  }

  /** A request that is part of this one, as a message of a stream is. */
  child(name: string, attributes: Attributes): RequestTrace {
    return new RequestTrace(this.tracing, name, this.span, attributes, { kind: 'internal' });
  }

  /** What `work` logs and begins belongs to this request. */
  within<T>(work: () => T): T {
    return this.tracing.within(this.span, work);
  }

  /** A part that is over; moments of `performance.now()`. `link` may add links before it ends. */
  part(name: string, startedMs: number, endedMs: number, attributes: Attributes = {}, link?: (span: Span) => void): void {
    const span = this.tracing.start(name, this.span, { startMs: startedMs + this.offsetMs, attributes });
    link?.(span);
    span.end(endedMs + this.offsetMs);
  }

  set(attributes: Attributes): void {
    this.span.setAttributes(attributes);
  }

  /** `status` as in HTTP; `code`: of the error that was answered. */
  end(status: number, code: string | null = null): void {
    if (status >= SERVER_ERROR_MIN) this.tracing.fail(this.span, code ?? String(status));
    else if (code !== null) this.span.setAttribute('error.type', code);
    this.span.end(performance.now() + this.offsetMs);
  }
}

import type { TraceCarrier } from '@app/contracts';
import type * as OpenTelemetry from '@opentelemetry/api';
import type { Attributes, Context, Link, Span, SpanContext } from '@opentelemetry/api';
import type { SpanCounts } from './span-queue';

export type { Attributes, Span, SpanContext } from '@opentelemetry/api';

/** Names of the kinds that OpenTelemetry has. */
export type SpanKindName = 'internal' | 'server' | 'client' | 'producer' | 'consumer';

export interface SpanStart {
  /** Default: internal. */
  kind?: SpanKindName;
  /** As `epochMs`; default: now. */
  startMs?: number;
  attributes?: Attributes;
  /** To spans that have to do with it and are not its parent. */
  links?: readonly SpanContext[];
}

/** What a span is part of: another one, one of another process, or nothing (null). */
export type SpanParent = Span | TraceCarrier | null;

/** How far timers of the system may be from the monotonic clock before it counts. */
const DRIFT_MS = 5;
const KINDS: readonly SpanKindName[] = ['internal', 'server', 'client', 'producer', 'consumer'];

/** The spans of this process. There is none while tracing is off: every user asks for null first. */
export class Tracing {
  constructor(
    private readonly api: typeof OpenTelemetry,
    private readonly tracer: OpenTelemetry.Tracer,
    /** Since the start of the process. */
    readonly counts: Readonly<SpanCounts>,
    /** Sends what waits, within 2 s; then nothing is traced any more. */
    readonly close: () => Promise<void>,
  ) {}

  /** Records nothing when the trace is not sampled; the ids are there all the same. End it. */
  start(name: string, parent: SpanParent, { kind = 'internal', startMs, attributes = {}, links = [] }: SpanStart = {}): Span {
    const options = {
      kind: KINDS.indexOf(kind) as OpenTelemetry.SpanKind,
      attributes,
      links: links.map((context): Link => ({ context })),
      ...(startMs === undefined ? {} : { startTime: startMs }),
    };
    return this.tracer.startSpan(name, options, this.contextOf(parent));
  }

  /** For what another process does for this span. */
  carry(span: Span): TraceCarrier | null {
    const carried: Partial<TraceCarrier> = {};
    this.api.propagation.inject(this.api.trace.setSpan(this.api.ROOT_CONTEXT, span), carried);
    return carried.traceparent === undefined ? null : { ...carried, traceparent: carried.traceparent };
  }

  /** Null: the carrier holds nothing that W3C Trace Context knows. */
  spanContextOf(carrier: TraceCarrier): SpanContext | null {
    return this.api.trace.getSpanContext(this.contextOf(carrier)) ?? null;
  }

  /** The span that `work`, and what it begins, is done in. */
  active(): Span | null {
    return this.api.trace.getActiveSpan() ?? null;
  }

  within<T>(span: Span, work: () => T): T {
    return this.api.context.with(this.api.trace.setSpan(this.api.context.active(), span), work);
  }

  /** `code`: what kind of error; never its text, which may hold a caller's words. */
  fail(span: Span, code: string): void {
    span.setAttribute('error.type', code);
    span.setStatus({ code: this.api.SpanStatusCode.ERROR });
  }

  private contextOf(parent: SpanParent): Context {
    const { ROOT_CONTEXT, trace, propagation } = this.api;
    if (parent === null) return ROOT_CONTEXT;
    return 'spanContext' in parent ? trace.setSpan(ROOT_CONTEXT, parent) : propagation.extract(ROOT_CONTEXT, parent);
  }
}

/** What is to be added to moments of `performance.now()` for milliseconds since 1970; take it once for times that are compared. */
export function clockOffsetMs(): number {
  const driftMs = Date.now() - (performance.timeOrigin + performance.now());
  return performance.timeOrigin + (Math.abs(driftMs) > DRIFT_MS ? driftMs : 0);
}

/** Does the work in a span of its own; without tracing, or outside of any trace, it just does it. */
export async function traced<T>(
  tracing: Tracing | null,
  name: string,
  parent: SpanParent,
  work: (span: Span | null) => Promise<T>,
  start: SpanStart = {},
): Promise<T> {
  if (tracing === null || parent === null) return work(null);
  const span = tracing.start(name, parent, start);
  try {
    return await tracing.within(span, () => work(span));
  } catch (error) {
    tracing.fail(span, (error as { code?: string }).code ?? (error as Error).name);
    throw error;
  } finally {
    span.end();
  }
}

import type { ReadableSpan, SpanExporter, SpanProcessor } from '@opentelemetry/sdk-trace-node';

/** Spans that wait to be sent; more are dropped. About 1 KiB each. */
const SPANS_MAX = 4096;
const SPANS_SENT_MAX = 512;
/** So long they gather. */
const GATHER_MS = 1_000;

export interface SpanCounts {
  exported: number;
  /** The queue was full, or the collector did not take them. */
  dropped: number;
}

/** Hands spans to the exporter, one batch at a time. Whoever ends a span never waits: what does not fit is dropped and counted. */
export class SpanQueue implements SpanProcessor {
  readonly counts: SpanCounts = { exported: 0, dropped: 0 };
  private waiting: ReadableSpan[] = [];
  private timer: NodeJS.Timeout | null = null;
  private sending: Promise<void> | null = null;

  /** `onOutcome`: told after each attempt to send; null: it worked. */
  constructor(
    private readonly exporter: SpanExporter,
    private readonly onOutcome: (error: Error | null) => void,
  ) {}

  onStart(): void {}

  onEnd(span: ReadableSpan): void {
    if (this.waiting.length >= SPANS_MAX) {
      this.counts.dropped++;
      return;
    }
    this.waiting.push(span);
    if (this.sending !== null) return;
    if (this.waiting.length >= SPANS_SENT_MAX) void this.send();
    else this.timer ??= setTimeout(() => void this.send(), GATHER_MS).unref();
  }

  /** Sends what waits now. */
  async forceFlush(): Promise<void> {
    while (this.waiting.length > 0 || this.sending !== null) await this.send();
  }

  async shutdown(): Promise<void> {
    await this.forceFlush();
    await this.exporter.shutdown();
  }

  private send(): Promise<void> {
    if (this.timer !== null) clearTimeout(this.timer);
    this.timer = null;
    this.sending ??= this.sendOnce().finally(() => {
      this.sending = null;
      if (this.waiting.length > 0) this.timer ??= setTimeout(() => void this.send(), GATHER_MS).unref();
    });
    return this.sending;
  }

  private async sendOnce(): Promise<void> {
    const spans = this.waiting.splice(0, SPANS_SENT_MAX);
    const error = await new Promise<Error | null>((resolve) =>
      this.exporter.export(spans, (result) => resolve(result.code === 0 ? null : (result.error ?? new Error('not taken')))),
    );
    this.counts[error === null ? 'exported' : 'dropped'] += spans.length;
    this.onOutcome(error);
  }
}

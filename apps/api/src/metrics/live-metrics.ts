import type { ErrorCode, InferenceBackend, Lane, Stage } from '@app/contracts';
import type { ServiceTier } from '@app/protocols';
import { BoundedLabel } from '@app/telemetry';
import { Counter, Gauge, Histogram, type Registry } from 'prom-client';

/** Seconds. Fine where live answers are; the last are timeouts. */
const REQUEST_BUCKETS = [
  ...[0.0005, 0.001, 0.002, 0.003, 0.005, 0.0075, 0.01, 0.015, 0.02, 0.03, 0.05, 0.075],
  ...[0.1, 0.2, 0.3, 0.5, 0.75, 1, 2, 5, 10, 20, 30, 60],
];
const STAGE_BUCKETS = [0.00002, 0.00005, 0.0001, 0.0002, 0.0005, 0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.5, 1, 5];
/** Models with a label of their own, since the process began; later ones are counted together. */
const MODEL_LABELS_MAX = 500;

/** What is counted of a live request. */
export interface FinishedRequest {
  readonly endpoint: string;
  readonly lane: Lane;
  /** `default` where nothing was said. */
  readonly tier: ServiceTier;
  /** On the clock of `performance.now()`. */
  readonly arrivedMs: number;
  readonly model: string;
  /** Null: it was answered. */
  readonly errorCode: ErrorCode | null;
  /** Milliseconds by stage; null: not answered. */
  readonly timing: { readonly stages: readonly (readonly [Stage, number])[]; readonly items: number } | null;
  /** Of its trace, where one is recorded. */
  readonly traceId?: string | null;
}

/** Metrics of the live requests of this process. Model labels are names of the repository, or empty. */
export class LiveMetrics {
  private readonly requests: Counter;
  private readonly seconds: Histogram;
  private readonly stages: Histogram;
  private readonly refused: Counter;
  private readonly tiers: Counter;
  private readonly items: Counter;
  private readonly models = new BoundedLabel(MODEL_LABELS_MAX);

  /** `backends`: of each lane. */
  constructor(registry: Registry, backends: readonly InferenceBackend[]) {
    const registers = [registry];
    this.requests = new Counter({
      name: 'interleave_requests_total',
      help: 'Live requests answered',
      labelNames: ['lane', 'model', 'endpoint', 'status'],
      registers,
    });
    this.seconds = new Histogram({
      name: 'interleave_request_seconds',
      help: 'Time from the headers of a request to the end of its answer',
      labelNames: ['lane', 'model'],
      buckets: REQUEST_BUCKETS,
      enableExemplars: true,
      // prom-client refuses exemplars in a registry of text, but the merged exposition may be OpenMetrics.
      registers: [],
    });
    registry.registerMetric(this.seconds);
    this.stages = new Histogram({
      name: 'interleave_stage_seconds',
      help: 'Time in each stage of a live request',
      labelNames: ['stage'],
      buckets: STAGE_BUCKETS,
      registers,
    });
    this.refused = new Counter({
      name: 'interleave_refused_total',
      help: 'Live requests answered with an error, by its code',
      labelNames: ['lane', 'reason'],
      registers,
    });
    this.items = new Counter({
      name: 'interleave_request_items_total',
      help: 'Items of live requests that were answered: texts, instances, or a caller’s tensors',
      labelNames: ['lane', 'model'],
      registers,
    });
    this.tiers = new Counter({
      name: 'interleave_tier_requests_total',
      help: 'Live requests answered, by the service tier that was asked for',
      labelNames: ['tier'],
      registers,
    });
    new Gauge({
      name: 'interleave_items_in_flight',
      help: 'Live items admitted and not yet answered',
      labelNames: ['lane'],
      registers,
      collect() {
        for (const backend of backends) this.set({ lane: backend.lane }, backend.admittedItems());
      },
    });
    new Gauge({
      name: 'interleave_live_backlog_ms',
      help: 'Predicted time until the executors of the real-time lane have done the live items that were admitted',
      registers,
      collect() {
        this.set(backends.find(({ lane }) => lane === 'realtime')?.backlogMs() ?? 0);
      },
    });
  }

  /** Once per live request, after its answer; status 499: the caller hung up. */
  finished(request: FinishedRequest, status: number): void {
    const { lane, timing, traceId } = request;
    const labels = { lane, model: this.models.of(request.model) };
    const stages = lane === 'realtime' ? (timing?.stages ?? []) : [];
    for (const [stage, ms] of stages) this.stages.observe({ stage }, ms / 1000);
    this.requests.inc({ ...labels, endpoint: request.endpoint, status: String(status) });
    if (timing !== null) this.items.inc(labels, timing.items);
    this.tiers.inc({ tier: request.tier });
    if (request.errorCode !== null) this.refused.inc({ lane, reason: request.errorCode });
    const value = (performance.now() - request.arrivedMs) / 1000;
    this.seconds.observe({ labels, value, exemplarLabels: traceId ? { trace_id: traceId } : {} });
  }
}

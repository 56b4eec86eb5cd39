import type { ErrorCode, InferenceBackend, Lane, Stage } from '@app/contracts';
import type { ServiceTier } from '@app/protocols';
import { BoundedLabel, CounterCells, HistogramCells } from '@app/telemetry';
import { Gauge, type Registry } from 'prom-client';

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
  private readonly requests: CounterCells<'lane' | 'model' | 'endpoint' | 'status'>;
  private readonly seconds: HistogramCells<'lane' | 'model'>;
  private readonly stages: HistogramCells<'stage'>;
  private readonly refused: CounterCells<'lane' | 'reason'>;
  private readonly tiers: CounterCells<'tier'>;
  private readonly items: CounterCells<'lane' | 'model'>;
  private readonly models = new BoundedLabel(MODEL_LABELS_MAX);

  /** `backends`: of each lane. */
  constructor(registry: Registry, backends: readonly InferenceBackend[]) {
    const registers = [registry];
    this.requests = new CounterCells({
      name: 'interleave_requests_total',
      help: 'Live requests answered',
      labelNames: ['lane', 'model', 'endpoint', 'status'],
      registers,
    });
    this.seconds = new HistogramCells(
      {
        name: 'interleave_request_seconds',
        help: 'Time from the headers of a request to the end of its answer, but for those without items, as of tokens',
        labelNames: ['lane', 'model'],
        registers,
      },
      REQUEST_BUCKETS,
    );
    this.stages = new HistogramCells(
      {
        name: 'interleave_stage_seconds',
        help: 'Time in each stage that a live request came to',
        labelNames: ['stage'],
        registers,
      },
      STAGE_BUCKETS,
    );
    this.refused = new CounterCells({
      name: 'interleave_refused_total',
      help: 'Live requests answered with an error, by its code',
      labelNames: ['lane', 'reason'],
      registers,
    });
    this.items = new CounterCells({
      name: 'interleave_request_items_total',
      help: 'Items of live requests that were answered: texts, instances, or a caller’s tensors; equal texts of a request count once',
      labelNames: ['lane', 'model'],
      registers,
    });
    this.tiers = new CounterCells({
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
    const model = this.models.of(request.model);
    const stages = lane === 'realtime' ? (timing?.stages ?? []) : [];
    for (const [stage, ms] of stages) this.stages.of(stage).observe(ms / 1000);
    this.requests.of(lane, model, request.endpoint, String(status)).inc();
    if (timing !== null) this.items.of(lane, model).inc(timing.items);
    this.tiers.of(request.tier).inc();
    if (request.errorCode !== null) this.refused.of(lane, request.errorCode).inc();
    // Tokens alone are there so soon that a model beside them would seem fast.
    if (timing?.items === 0) return;
    const seconds = (performance.now() - request.arrivedMs) / 1000;
    this.seconds.of(lane, model).observe(seconds, traceId ? { trace_id: traceId } : null);
  }
}

import { runPaths, type Config } from '@app/config';
import {
  mergingText,
  type ModelReport,
  type SupervisedProcessStatus,
  type WorkerPlan,
  type WorkerProcessStatus,
  VERSION,
} from '@app/contracts';
import type { BatchView } from '@app/batches';
import { withDeadline } from '@app/queues';
import { fetchStatus, PlacementReader, type MetricsJson } from '@app/process';
import { Inject, Injectable } from '@nestjs/common';
import { BatchService } from '../batches/batch.service';
import { ANONYMOUS } from '../access/caller';
import { Fleet } from '../fleet/fleet';
import { Readiness } from '../health/readiness';
import { MergedMetrics } from '../metrics/merge';
import { Releases } from '../releases/releases';
import { Breakers } from '../resilience/breakers';
import { CONFIG } from '../tokens';
import { FrontDoor } from './front-door';
import { LaneRates } from './lane-rates';
import { MetricsView } from './metrics-view';
import { releaseViews } from './release-views';
import type { BatchState, DashboardState, WorkerState } from './state';

/** However many look at the page, the processes are asked this often at most. */
const FRESH_MS = 800;
const ANSWER_MS_MAX = 200;
const BATCHES_MS_MAX = 1_000;
const BATCHES_SHOWN_MAX = 20;

/** Gathers what the dashboard shows. A process that does not answer in time leaves its part unknown. */
@Injectable()
export class DashboardCollector {
  private readonly rates = new LaneRates();
  private readonly frontDoor = new FrontDoor();
  private latest: Promise<DashboardState> | null = null;
  private latestAtMs = -Infinity;

  constructor(
    @Inject(CONFIG) private readonly config: Config,
    private readonly placement: PlacementReader,
    private readonly metrics: MergedMetrics,
    private readonly readiness: Readiness,
    private readonly batches: BatchService,
    private readonly breakers: Breakers,
    private readonly fleet: Fleet,
    private readonly releases: Releases,
  ) {}

  state(): Promise<DashboardState> {
    const nowMs = performance.now();
    if (this.latest === null || nowMs - this.latestAtMs > FRESH_MS) {
      this.latestAtMs = nowMs;
      this.latest = this.collect(nowMs);
    }
    return this.latest;
  }

  private async collect(nowMs: number): Promise<DashboardState> {
    const [registry, scheduler, runner, batches, fleet] = await Promise.all([
      this.metrics.collect(),
      this.statusOf('scheduler', 'scheduler'),
      this.statusOf('runner', 'runner'),
      this.latestBatches(),
      this.fleet.isShared ? this.fleet.view() : null,
    ]);
    const view = new MetricsView((await registry.getMetricsAsJSON()) as MetricsJson);
    const processes = scheduler?.processes ?? [];
    const plans = this.placement.workers();
    const delaySeconds = view.max('interleave_event_loop_delay_seconds', { process: 'api', quantile: '0.99' });
    const workers = plans.map(async (plan) =>
      workerState(plan, processes, await this.statusOf('worker', plan.id), (name, version) => this.quarantineOf(plan, name, version)),
    );
    return {
      atMs: Date.now(),
      version: VERSION,
      notReady: this.readiness.missing(),
      redisIsReady: runner?.redisIsReady ?? null,
      eventLoopDelayMs: delaySeconds === null ? null : delaySeconds * 1000,
      preemption: scheduler?.preemption ? { verdict: scheduler.preemption.verdict, reason: scheduler.preemption.reason } : null,
      lanes: this.rates.read(view, nowMs),
      processes: processes.filter(({ id }) => !plans.some((plan) => plan.id === id)),
      workers: await Promise.all(workers),
      releases: releaseViews(scheduler?.releases ?? [], scheduler?.events ?? [], this.releases.comparisons()),
      laneControl: scheduler?.laneControl ?? null,
      batches: batches.map(batchState),
      breakers: this.breakers.list(),
      fleet,
      frontDoor: this.frontDoor.read(view, nowMs),
    };
  }

  /** None while the store is away. */
  private async latestBatches(): Promise<BatchView[]> {
    const page = this.batches.listBatches({ limit: BATCHES_SHOWN_MAX, order: 'desc', after: null }, ANONYMOUS);
    return withDeadline(page, BATCHES_MS_MAX, 'listing batches').then(
      ({ data }) => data,
      () => [],
    );
  }

  /** Its reason; null: it is not quarantined in the lane of this worker. */
  private quarantineOf({ lane }: WorkerPlan, name: string, version: string): string | null {
    return this.placement.quarantined(name, version).find((model) => model.lane === lane)?.reason ?? null;
  }

  private statusOf<Kind extends 'scheduler' | 'runner' | 'worker'>(kind: Kind, processId: string) {
    return fetchStatus(kind, runPaths(this.config.runDir).statusSocket(processId), ANSWER_MS_MAX).catch(() => null);
  }
}

function workerState(
  plan: WorkerPlan,
  processes: SupervisedProcessStatus[],
  status: WorkerProcessStatus | null,
  quarantineOf: (name: string, version: string) => string | null,
): WorkerState {
  const supervised = processes.find(({ id }) => id === plan.id);
  const planned = plan.models.map(({ name, version }) => ({ name, version, state: 'loading' as const, reason: null, merging: null }));
  return {
    id: plan.id,
    lane: plan.lane,
    cpus: plan.cpus,
    pid: status?.pid ?? supervised?.pid ?? null,
    // Only the scheduler tells starting from failed; without it, a worker that does not answer is just that.
    state: status?.state ?? supervised?.state ?? 'no answer',
    restarts: supervised?.restarts ?? 0,
    reason: supervised?.reason ?? null,
    queueItems: status?.queue.reduce((sum, { waitingItems }) => sum + waitingItems, 0) ?? null,
    models: (status?.models.map(modelState) ?? planned).map((model) => {
      const quarantine = quarantineOf(model.name, model.version);
      return quarantine === null ? model : { ...model, state: 'quarantined' as const, reason: quarantine };
    }),
  };
}

const modelState = ({ name, version, state, reason, signature }: ModelReport): WorkerState['models'][number] => ({
  name,
  version,
  state,
  reason,
  merging: signature === null ? null : mergingText(signature),
});

function batchState(batch: BatchView): BatchState {
  const { id, endpoint, model = null, status, request_counts: counts } = batch;
  return { id, endpoint, model, status, ...counts, createdAtMs: batch.created_at * 1000, paused: batch.interleave.paused ?? null };
}

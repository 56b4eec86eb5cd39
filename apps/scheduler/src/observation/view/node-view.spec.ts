import {
  HISTORY_SERIES,
  type RunnerProcessStatus,
  type SchedulerProcessStatus,
  type WorkerPlan,
  type WorkerProcessStatus,
} from '@app/contracts';
import type { MetricsJson } from '@app/process';
import { Counter, Gauge, Histogram, Registry } from 'prom-client';
import { CpuSharesWindow } from '../cpu/cpu-shares';
import { historyPoint } from '../history/history-point';
import { CounterHistory, RATE_WINDOW_MS, SHARE_WINDOW_MS } from '../sample/counter-window';
import { countsOf } from '../sample/counted';
import { MetricsView } from '../sample/metrics-view';
import { NodeCounts } from '../sample/node-counts';
import type { Sample } from '../sample/sample';
import { nodeView } from './node-view';

/** The counters of one process that is API and workers at once. */
class Metrics {
  private readonly registry = new Registry();
  readonly requests = this.counter('requests_total', 'lane', 'model', 'status');
  readonly refused = this.counter('refused_total', 'lane', 'reason');
  readonly overShare = this.counter('tenant_refused_total', 'tenant', 'lane');
  readonly tokens = this.counter('tokens_total', 'lane', 'model', 'version', 'kind');
  readonly runSeconds = this.counter('run_seconds_total', 'lane', 'model', 'version', 'worker');
  readonly items = this.counter('items_total', 'lane', 'model', 'version', 'outcome');
  readonly duplicates = this.counter('duplicates_total', 'lane', 'model', 'version');
  readonly seconds = this.histogram('request_seconds', [0.01, 0.1], 'lane', 'model');
  readonly rows = this.histogram('run_rows', [1, 8], 'lane', 'model', 'version');
  readonly ratios = this.histogram('cost_ratio', [1, 2], 'lane', 'model', 'version');
  readonly backlog = new Gauge({ name: 'interleave_live_backlog_ms', help: 'h', registers: [this.registry] });

  async read(): Promise<MetricsJson> {
    return (await this.registry.getMetricsAsJSON()) as MetricsJson;
  }

  private counter(name: string, ...labelNames: string[]) {
    return new Counter({ name: `interleave_${name}`, help: 'h', labelNames, registers: [this.registry] });
  }

  private histogram(name: string, buckets: number[], ...labelNames: string[]) {
    return new Histogram({ name: `interleave_${name}`, help: 'h', buckets, labelNames, registers: [this.registry] });
  }
}

const plan = (lane: WorkerPlan['lane']) =>
  ({
    id: `default-${lane}`,
    partitionId: 'default',
    lane,
    cpus: [0],
    models: [{ name: 'm', version: '1', sloMs: 80 }],
    gpu: null,
  }) as unknown as WorkerPlan;
const worker = (lane: WorkerPlan['lane'], waitingItems: number): WorkerProcessStatus => ({
  ...{ id: `default-${lane}`, lane, pid: 7, state: 'serving' as const, isolation: [], memory: { resident: 5, modelFiles: 1, limit: null } },
  models: [
    {
      name: 'm',
      version: '1',
      revision: 1,
      state: 'ready',
      reason: null,
      signature: null,
      cost: { grid: { lengths: [8], rows: [1], runNs: [[9]] }, ratio: { median: 1, high: 2 } },
    },
  ],
  executors: [{ cpu: 0, isolation: [{ tool: 'nice', state: 'active', reason: null }] }],
  queue: [{ name: 'm', version: '1', waitingItems, oldestAgeSeconds: 0.5 }],
  calibration: [{ name: 'm', version: '1', state: 'measured', reason: null }],
});
const runner: RunnerProcessStatus = {
  batches: [
    {
      id: 'b',
      status: 'in_progress',
      total: 9,
      completed: 4,
      failed: 1,
      runningChunks: 2,
      paused: null,
      secondsLeft: 3,
      progressAgeSeconds: 1,
      model: 'm',
      endpoint: '/v1/embeddings',
      progress: { rows_per_second: 2, seconds_left: { expected: 3, low: 2, high: 4 } },
    },
  ],
  rowsPerSecond: 2,
  backlogSeconds: 4,
  chunks: { running: 2, waiting: 0, oldestSeconds: 1 },
  redisIsReady: true,
};
const broken = {
  name: 'broken',
  version: '1',
  serving: null,
  next: null,
  state: 'failed' as const,
  reason: 'Load model from /m/1/model.onnx failed:Protobuf parsing failed.',
};
const scheduler = {
  processes: [
    { id: 'default-realtime', pid: 7, state: 'ready', restarts: 2, reason: 'signal SIGKILL' },
    { id: 'runner', pid: 8, state: 'ready', restarts: 0, reason: null },
  ],
  workers: [],
  placement: {
    formatVersion: 1,
    partitions: [{ id: 'default', class: 'burstable', cpus: [0], memoryBytes: null }],
    workers: [plan('realtime'), plan('batch')],
  },
  preemption: { verdict: 'holds', reason: 'measured' },
  laneControl: null,
  versions: [broken, { name: 'm', version: '1', serving: 1, next: null, state: 'serving', reason: null }],
  releases: [
    {
      name: 'm',
      labels: { stable: '1', old: '0' },
      canary: { version: '1', trafficPercent: 5 },
      mirror: null,
      rollback: null,
      promote: null,
    },
  ],
  events: [{ atMs: 3, model: 'm', version: '1', revision: null, kind: 'promoted', message: 'it did well' }],
} as unknown as SchedulerProcessStatus;

describe('the view of a node', () => {
  const metrics = new Metrics();
  const counts = new NodeCounts();
  const counters = new CounterHistory();
  const shares = new CpuSharesWindow();
  const places = [{ cpu: 0, siblings: [0, 4], packageId: 1, nodeId: 2, cacheId: 0 }];

  async function viewAt(steadyMs: number, more: Partial<Sample> = {}) {
    const read = await metrics.read();
    counts.add('all', 1, countsOf(read));
    counters.add(counts.total, steadyMs);
    shares.add(
      {
        cpus: new Map([[0, { totalMs: steadyMs, idleMs: steadyMs / 2 }]]),
        threads: [{ thread: 't', cpu: 0, work: 'batch', runMs: steadyMs / 4 }],
      },
      steadyMs,
    );
    const workers = new Map([
      ['default-realtime', worker('realtime', 3)],
      ['default-batch', worker('batch', 5)],
    ]);
    const api = { id: 'api-1', pid: 1, url: null, grpcAddress: null, missing: null, inFlightItems: 0 };
    const sample: Sample = {
      atMs: 1_000_000,
      steadyMs,
      scheduler,
      workers,
      silentWorkers: new Set(),
      runner,
      api,
      fleet: null,
      metrics: new MetricsView([read]),
      cpu: null,
      disk: null,
      ...more,
    };
    const windows = { seconds: counters.last(RATE_WINDOW_MS), minute: counters.last(SHARE_WINDOW_MS) };
    return nodeView(sample, { id: 'n', version: '1', modelsDir: '/nowhere', places, startedMs: 0 }, windows, shares, []);
  }

  it('has rates of the last seconds, models of the last minute, and what waits', async () => {
    const first = await viewAt(0);
    expect(first.lanes[0]).toMatchObject({ lane: 'realtime', rowsPerSecond: null, p99Ms: null, queueItems: 3, goal: null });
    metrics.requests.inc({ lane: 'realtime', model: 'm', status: '200' }, 40);
    metrics.refused.inc({ lane: 'realtime', reason: 'overloaded' }, 4);
    metrics.overShare.inc({ tenant: 'acme', lane: 'realtime' }, 3);
    metrics.overShare.inc({ tenant: 'acme', lane: 'batch' }, 9);
    metrics.refused.inc({ lane: 'realtime', reason: 'invalid_request' }, 2);
    for (let n = 0; n < 40; n++) metrics.seconds.observe({ lane: 'realtime', model: 'm' }, 0.005);
    for (const rows of [2, 8]) metrics.rows.observe({ lane: 'batch', model: 'm', version: '1' }, rows);
    metrics.tokens.inc({ lane: 'batch', model: 'm', version: '1', kind: 'real' }, 75);
    metrics.tokens.inc({ lane: 'batch', model: 'm', version: '1', kind: 'padded' }, 25);
    metrics.runSeconds.inc({ lane: 'batch', model: 'm', version: '1', worker: 'default-batch' }, 1);
    metrics.items.inc({ lane: 'batch', model: 'm', version: '1', outcome: 'ok' }, 10);
    metrics.duplicates.inc({ lane: 'batch', model: 'm', version: '1' }, 1);
    metrics.ratios.observe({ lane: 'batch', model: 'm', version: '1' }, 1.5);
    metrics.backlog.set(12.5);
    const view = await viewAt(2_000);
    expect(view.lanes[0]).toMatchObject({ requestsPerSecond: 20, p50Ms: 5, refusedPerSecond: 2, errorsPerSecond: 1, queueMs: 12.5 });
    expect(view.lanes[0]).toMatchObject({
      minute: { requests: 40, refused: 4, overShare: 3 },
      goal: { model: 'm', goalMs: 80, p99Ms: 9.9 },
    });
    expect(view.lanes[1]).toMatchObject({ rowsPerSecond: 5, rowsPerRun: 5, paddingShare: 0.25, queueItems: 5, queueMs: 3_000 });
    expect(view.models).toMatchObject([
      { name: 'broken', state: 'failed', problem: 'The model file is damaged, or is no ONNX file.', rawProblem: broken.reason, lanes: [] },
      {
        name: 'm',
        state: 'serving',
        problem: null,
        labels: ['stable'],
        canaryPercent: 5,
        timeShare: 1,
        goalMs: 80,
        decision: { text: 'It did well.' },
      },
    ]);
    expect(view.models[1]?.lanes).toMatchObject([
      { lane: 'realtime', rowsPerSecond: 0, p99Ms: 9.9, queueItems: 3, costRatio: null },
      { lane: 'batch', rowsPerSecond: 5, p99Ms: null, paddingShare: 0.25, duplicateShare: 0.1, costRatio: { mean: 1.5, p95: 1.95 } },
    ]);
    expect(view.costTables.map(({ lane }) => lane)).toEqual(['realtime', 'batch']);
    expect(view.cpus).toEqual([
      {
        cpu: 0,
        socket: 1,
        numaNode: 2,
        core: 0,
        thread: 0,
        partition: 'default',
        class: 'burstable',
        shares: { live: 0, batch: 0.25, system: 0.25, idle: 0.5 },
        workers: ['default-realtime', 'default-batch'],
      },
    ]);
    expect(view.batchLane).toMatchObject({ idleShareUsed: 0.333, rowsPerSecond: 5, limit: null });
    expect(view.batches).toMatchObject([{ id: 'b', model: 'm', rowsPerSecond: 2, secondsLeft: { expected: 3 } }]);
    expect(view.isolation[0]).toMatchObject({ process: 'default-realtime', executors: [{ cpus: [0] }] });
    expect(view.workers[0]).toMatchObject({ restarts: 2, reason: 'signal SIGKILL', queueAgeSeconds: 0.5 });
    expect(view.processes.map(({ id }) => id)).toEqual(['scheduler', 'runner']);
    const point = historyPoint(view);
    expect(Object.fromEntries(HISTORY_SERIES.map((series, index) => [series, point.values[index]]))).toMatchObject({
      ...{ liveRequestsPerSecond: 20, liveGoalMs: 80, batchRowsPerSecond: 5, cpuBatch: 0.25, cpuIdle: 0.5, inflation: null },
    });
  });

  it('does not tell the largest bound as what 95 % of the runs stay below', async () => {
    for (const ratio of [1, 1, 1, 9]) metrics.ratios.observe({ lane: 'realtime', model: 'm', version: '1' }, ratio);
    expect((await viewAt(3_000)).models[1]?.lanes[0]?.costRatio).toEqual({ mean: 3, p95: null });
  });

  it('does not tell the p99 of a model as that of a version that did not give all answers', async () => {
    const versions = [...scheduler.versions, { name: 'm', version: '2', serving: 2, next: null, state: 'serving' as const, reason: null }];
    const both = { ...worker('realtime', 0), models: ['1', '2'].map((version) => ({ ...worker('realtime', 0).models[0], version })) };
    const workers = new Map([['default-realtime', both as WorkerProcessStatus]]);
    const p99s = async (steadyMs: number) =>
      (await viewAt(steadyMs, { scheduler: { ...scheduler, versions }, workers })).models
        .slice(1)
        .map(({ lanes }) => lanes[0]?.p99Ms ?? null);
    await viewAt(100_000);
    metrics.seconds.observe({ lane: 'realtime', model: 'm' }, 0.005);
    metrics.items.inc({ lane: 'realtime', model: 'm', version: '1', outcome: 'ok' });
    expect(await p99s(102_000)).toEqual([expect.any(Number), null]);
    metrics.items.inc({ lane: 'realtime', model: 'm', version: '2', outcome: 'ok' });
    expect(await p99s(104_000)).toEqual([null, null]);
  });

  it('leaves unknown what does not answer', async () => {
    const nobody = new Map([
      ['default-realtime', null],
      ['default-batch', null],
    ]);
    const silentWorkers = new Set(['default-realtime']);
    const view = await viewAt(106_000, { workers: nobody, silentWorkers, runner: null, api: null, metrics: new MetricsView([]) });
    expect(view.node).toMatchObject({ notReady: 'the API does not answer', redisIsReady: null, eventLoopDelayMs: null });
    expect([view.frontDoor, view.breakers, view.batches, view.batchLane.chunks]).toEqual([null, null, [], null]);
    expect(view.workers[0]).toMatchObject({ pid: 7, state: 'silent', queueItems: null, memory: null });
    expect(view.models[1]).toMatchObject({ state: 'serving', lanes: [] });
    expect(view.lanes[0]).toMatchObject({ queueItems: 0, queueMs: null });
    expect(view.lanes[0]).toMatchObject({ requestsPerSecond: null, p99Ms: null, refusedPerSecond: null, minute: null, goal: null });
    expect(historyPoint(view).values[HISTORY_SERIES.indexOf('liveRequestsPerSecond')]).toBeNull();
  });

  describe('the time left of all batches', () => {
    const [open] = runner.batches;
    const batch = (secondsLeft: number | null, paused: string | null = null) => ({ ...open!, secondsLeft, paused });
    const many = Array.from({ length: 100 }, () => batch(40));
    it.each([
      ['is that of the batch that ends last', [batch(40), batch(94)], 94_000, false],
      ['is also that of a batch that is not shown', [...many, batch(94)], 94_000, false],
      ['is none where no batch is open', [], 0, false],
      ['leaves out those that are paused', [batch(40), batch(null, 'by an operator')], 40_000, false],
      ['is the least where one is not predicted yet', [batch(40), batch(null)], 40_000, true],
      ['is not known where none is predicted yet', [batch(null)], null, false],
      ['is not known where all are paused', [batch(40, 'by an operator')], null, false],
    ])('%s', async (_name, batches, queueMs, queueMsIsLeast) => {
      const view = await viewAt(107_000, { runner: { ...runner, batches } });
      expect(view.lanes[1]).toMatchObject({ queueMs, queueMsIsLeast });
    });
    it('is not known where the runner is away', async () =>
      expect((await viewAt(107_000, { runner: null })).lanes[1]).toMatchObject({ queueMs: null, queueMsIsLeast: false }));
  });

  it('says what it leaves out', async () => {
    const versions = Array.from({ length: 300 }, (_, n) => ({ ...broken, name: `m${n}` }));
    const view = await viewAt(108_000, { scheduler: { ...scheduler, versions } });
    expect([view.models.length, view.cut]).toEqual([256, { models: 44, cpus: 0, batches: 0 }]);
  });
});

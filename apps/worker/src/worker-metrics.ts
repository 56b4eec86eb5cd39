import {
  CALIBRATION_STATES,
  type CalibrationStatus,
  ISOLATION_STATES,
  type IsolationTool,
  type Lane,
  MODEL_STATES,
  type ModelReport,
} from '@app/contracts';
import type { WorkerModelStats } from '@app/native';
import { Counter, Gauge, type Histogram, type Registry } from 'prom-client';

interface WorkerLabels {
  id: string;
  lane: Lane;
}

interface MetricValue {
  labels: Record<string, string | number>;
  value: number;
  metricName: string;
}

const LABELS = ['model', 'version', 'lane', 'worker'];

/** Registers the metrics of one worker; `stats` is read at every scrape. They are by version: no counter goes back when its files change. */
export function registerWorkerMetrics(registry: Registry, { id, lane }: WorkerLabels, stats: () => WorkerModelStats[]): void {
  const labelsOf = ({ name, version }: WorkerModelStats) => ({ model: name, version, lane, worker: id });
  const registers = [registry];
  new Counter({
    name: 'interleave_tokens_total',
    help: 'Tokens run: those of the rows, and the padding that made rows of a run equally long',
    labelNames: [...LABELS, 'kind'],
    registers,
    collect() {
      this.reset();
      for (const model of stats()) {
        this.inc({ ...labelsOf(model), kind: 'real' }, model.realTokens);
        this.inc({ ...labelsOf(model), kind: 'padded' }, model.paddingTokens);
      }
    },
  });
  new Counter({
    name: 'interleave_items_total',
    help: 'Items answered, by outcome',
    labelNames: [...LABELS, 'outcome'],
    registers,
    collect() {
      this.reset();
      for (const model of stats()) {
        for (const [outcome, count] of Object.entries(model.items)) this.inc({ ...labelsOf(model), outcome }, count);
      }
    },
  });
  new Counter({
    name: 'interleave_duplicates_total',
    help: 'Items that were equal to one in flight and are answered by its run',
    labelNames: LABELS,
    registers,
    collect() {
      this.reset();
      for (const model of stats()) this.inc(labelsOf(model), model.duplicates);
    },
  });
  new Counter({
    name: 'interleave_run_seconds_total',
    help: 'Time that executors spent in the runtime',
    labelNames: LABELS,
    registers,
    collect() {
      this.reset();
      for (const model of stats()) this.inc(labelsOf(model), model.runSeconds);
    },
  });
  new Gauge({
    name: 'interleave_queue_items',
    help: 'Items that wait for an executor; duplicates count once',
    labelNames: LABELS,
    registers,
    collect() {
      this.reset();
      for (const model of stats()) this.set(labelsOf(model), model.queueItems);
    },
  });
  new Gauge({
    name: 'interleave_queue_age_seconds',
    help: 'How long the item that waits longest has waited',
    labelNames: LABELS,
    registers,
    collect() {
      this.reset();
      for (const model of stats()) this.set(labelsOf(model), model.queueAgeSeconds);
    },
  });
  const runRows: HistogramOfCounts = {
    name: 'interleave_run_rows',
    help: 'Rows of a run',
    buckets: (model) => model.runRows.map(({ rowsMax, runs }) => ({ le: rowsMax, count: runs })),
    sum: (model) => model.rows,
  };
  const formations: HistogramOfCounts = {
    name: 'interleave_run_formation_seconds',
    help: 'Time in which the items of a run were chosen',
    buckets: (model) => model.formations.map(({ secondsMax, runs }) => ({ le: secondsMax, count: runs })),
    sum: (model) => model.formationSeconds,
  };
  for (const histogram of [
    runRows,
    formations,
    formerly('interleave_batch_rows', runRows),
    formerly('interleave_batch_formation_seconds', formations),
  ]) {
    registerHistogram(registry, stats, labelsOf, histogram);
  }
  registerHistogram(registry, stats, labelsOf, {
    name: 'interleave_cost_ratio',
    help: 'Measured cost of a run, divided by the predicted',
    buckets: (model) => model.costRatios.map(({ ratioMax, runs }) => ({ le: ratioMax, count: runs })),
    sum: (model) => model.costRatioSum,
  });
}

/** One series for each state, 1 for the one that holds. */
export function registerCalibrationState(registry: Registry, { id, lane }: WorkerLabels, statuses: () => CalibrationStatus[]): void {
  new Gauge({
    name: 'interleave_calibration_state',
    help: 'Where the costs of a model come from: 1 for the state that holds',
    labelNames: [...LABELS, 'state'],
    registers: [registry],
    collect() {
      this.reset();
      // Of two revisions of a version the later one counts.
      for (const { name, version, state } of statuses()) {
        for (const other of CALIBRATION_STATES) this.set({ model: name, version, lane, worker: id, state: other }, other === state ? 1 : 0);
      }
    },
  });
}

/** One series for each state, 1 for the one that holds. Of two revisions of a version the later one counts. */
export function registerModelStates(
  registry: Registry,
  { id, lane }: WorkerLabels,
  models: () => Pick<ModelReport, 'name' | 'version' | 'state'>[],
): void {
  new Gauge({
    name: 'interleave_model_state',
    help: 'Whether a worker can run a model: 1 for the state that holds',
    labelNames: [...LABELS, 'state'],
    registers: [registry],
    collect() {
      this.reset();
      for (const { name, version, state } of models()) {
        for (const other of MODEL_STATES) this.set({ model: name, version, lane, worker: id, state: other }, other === state ? 1 : 0);
      }
    },
  });
}

/** CPU time of threads that keep CPUs awake. The kernel counts it as busy, the process does not count it as its own. */
export function registerAwakeTime(registry: Registry, process: string, seconds: () => number): void {
  new Counter({
    name: 'interleave_awake_cpu_seconds_total',
    help: 'CPU time that kept idle CPUs awake after live requests; nothing else wanted it',
    labelNames: ['process'],
    registers: [registry],
    collect() {
      this.reset();
      this.inc({ process }, seconds());
    },
  });
}

/** How many of the worker's executors, or the worker itself, have each tool in each state. */
export function registerIsolation(registry: Registry, { id, lane }: WorkerLabels, tools: () => IsolationTool[]): void {
  new Gauge({
    name: 'interleave_isolation_tools',
    help: 'Executors (or worker processes, for tools of a whole process) by the state of an isolation tool',
    labelNames: ['lane', 'worker', 'tool', 'state'],
    registers: [registry],
    collect() {
      this.reset();
      for (const { tool, state } of tools()) {
        for (const other of ISOLATION_STATES) this.inc({ lane, worker: id, tool, state: other }, other === state ? 1 : 0);
      }
    },
  });
}

interface HistogramOfCounts {
  name: string;
  help: string;
  /** Cumulative; `le` is null for the last one, which has no bound. */
  buckets: (model: WorkerModelStats) => { le: number | null; count: number }[];
  sum: (model: WorkerModelStats) => number;
}

/** The same histogram under the name that it had; until version 0.3. */
const formerly = (name: string, histogram: HistogramOfCounts): HistogramOfCounts => ({
  ...histogram,
  name,
  help: `Former name of ${histogram.name}, until version 0.3`,
});

/** prom-client can only observe one by one; the native side has counted already. */
function registerHistogram(
  registry: Registry,
  stats: () => WorkerModelStats[],
  labelsOf: (model: WorkerModelStats) => Record<string, string>,
  histogram: HistogramOfCounts,
): void {
  const { name, help } = histogram;
  const get = () =>
    Promise.resolve({
      name,
      help,
      type: 'histogram',
      aggregator: 'sum',
      values: stats().flatMap((model) => histogramValues(histogram, model, labelsOf(model))),
    });
  // All that a registry asks of a metric, and its labels for the documentation.
  registry.registerMetric({ name, labelNames: LABELS, get } as unknown as Histogram);
}

function histogramValues(
  { name, buckets, sum }: HistogramOfCounts,
  model: WorkerModelStats,
  labels: Record<string, string>,
): MetricValue[] {
  const counts = buckets(model);
  return [
    ...counts.map(({ le, count }) => ({ labels: { le: le ?? '+Inf', ...labels }, value: count, metricName: `${name}_bucket` })),
    { labels, value: sum(model), metricName: `${name}_sum` },
    { labels, value: counts.at(-1)?.count ?? 0, metricName: `${name}_count` },
  ];
}

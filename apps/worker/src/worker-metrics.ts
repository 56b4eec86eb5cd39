import type { Lane } from '@app/contracts';
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

/** Registers the metrics of one worker; `stats` is read at every scrape. */
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
    help: 'Items that wait for an executor',
    labelNames: LABELS,
    registers,
    collect() {
      for (const model of stats()) this.set(labelsOf(model), model.queueItems);
    },
  });
  new Gauge({
    name: 'interleave_queue_age_seconds',
    help: 'How long the item that waits longest has waited',
    labelNames: LABELS,
    registers,
    collect() {
      for (const model of stats()) this.set(labelsOf(model), model.queueAgeSeconds);
    },
  });
  registerBatchRows(registry, stats, labelsOf);
}

/** prom-client can only observe one by one; the native side has counted already. */
function registerBatchRows(
  registry: Registry,
  stats: () => WorkerModelStats[],
  labelsOf: (model: WorkerModelStats) => Record<string, string>,
): void {
  const name = 'interleave_batch_rows';
  const get = () =>
    Promise.resolve({
      ...{ name, help: 'Rows of a run', type: 'histogram', aggregator: 'sum' },
      values: stats().flatMap((model) => batchRowsValues(name, model, labelsOf(model))),
    });
  // All that a registry asks of a metric.
  registry.registerMetric({ name, get } as unknown as Histogram);
}

function batchRowsValues(name: string, model: WorkerModelStats, labels: Record<string, string>): MetricValue[] {
  const buckets = model.batchRows.map(({ rowsMax, batches }) => ({
    labels: { le: rowsMax ?? '+Inf', ...labels },
    value: batches,
    metricName: `${name}_bucket`,
  }));
  const count = model.batchRows.at(-1)?.batches ?? 0;
  return [...buckets, { labels, value: model.rows, metricName: `${name}_sum` }, { labels, value: count, metricName: `${name}_count` }];
}

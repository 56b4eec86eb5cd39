import type { MetricsJson } from '@app/process';
import { AggregatorRegistry, Registry, type Metric } from 'prom-client';

export const FORMATS = {
  text: Registry.PROMETHEUS_CONTENT_TYPE,
  openmetrics: Registry.OPENMETRICS_CONTENT_TYPE,
} as const;
/** Prometheus' text format 0.0.4, or OpenMetrics 1.0, which has exemplars. */
export type ExpositionFormat = keyof typeof FORMATS;

/** prom-client types `type` as a number, which it never is. */
type MetricJson = Omit<MetricsJson[number], 'type'> & { type: string };

/** What a caller's `Accept` asks for; browsers and unknown types get text. */
export function formatFor(accept: string | undefined): ExpositionFormat {
  return accept?.includes('application/openmetrics-text') === true ? 'openmetrics' : 'text';
}

/** The metrics of several processes as one registry: values with equal names and labels add up, or as their aggregator says. */
export function mergeMetrics(processes: readonly MetricsJson[], format: ExpositionFormat): Registry {
  const all = processes.flat() as unknown as MetricJson[];
  const named = format === 'text' ? all : all.map(openMetricsNames(all));
  const shared = [...countsOf(named)].flatMap(([name, count]) => (count > 1 ? name : []));
  const isShared = ({ name }: MetricJson): boolean => shared.includes(name);
  const merged = AggregatorRegistry.aggregate([named.filter(isShared)]) as Registry;
  // Its type says text, whatever it is.
  merged.setContentType(FORMATS[format] as Registry['contentType']);
  // What one process has is left as it is: adding up would lose its exemplars.
  for (const metric of named.filter((one) => !isShared(one))) merged.registerMetric({ ...metric, get: () => metric } as unknown as Metric);
  return merged;
}

function countsOf(metrics: readonly MetricJson[]): Map<string, number> {
  const counts = new Map<string, number>();
  for (const { name } of metrics) counts.set(name, (counts.get(name) ?? 0) + 1);
  return counts;
}

/**
 * OpenMetrics names a counter without the `_total` of its samples. Where another metric has that name already, the counter is of
 * unknown type, which may have any name. Bounds of buckets are floating-point numbers.
 */
function openMetricsNames(all: readonly MetricJson[]): (metric: MetricJson) => MetricJson {
  const names = new Set(all.map(({ name }) => name));
  return (metric) => {
    const { name, type } = metric;
    if (type === 'counter') {
      const family = name.replace(/_total$/, '');
      return names.has(family) ? { ...metric, type: 'unknown' } : { ...metric, name: family };
    }
    if (type !== 'histogram') return metric;
    return {
      ...metric,
      values: metric.values.map((value) => ({ ...value, labels: withFloatBound(value.labels) })),
    };
  };
}

function withFloatBound(labels: Partial<Record<string, string | number>>): Partial<Record<string, string | number>> {
  const { le } = labels;
  return Number.isInteger(le) ? { ...labels, le: `${le}.0` } : labels;
}

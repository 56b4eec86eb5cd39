import type { MetricsJson } from '@app/process';

/**
 * The counters that views are made of, with the labels that are told apart; what else they have is added up. Histograms count as their
 * parts `_sum`, `_count` and `_bucket`.
 */
const COUNTED: readonly (readonly [name: string, ...labels: string[]])[] = [
  ['interleave_run_rows_sum', 'lane'],
  ['interleave_run_rows_count', 'lane'],
  ['interleave_tokens_total', 'lane', 'kind'],
  ['interleave_requests_total', 'lane'],
  ['interleave_refused_total', 'lane', 'reason'],
  ['interleave_request_seconds_bucket', 'lane', 'le'],
  ['interleave_request_seconds_bucket', 'lane', 'model', 'le'],
  ['interleave_run_seconds_total', 'worker'],
  ['interleave_run_seconds_total', 'lane', 'model', 'version'],
  ['interleave_run_rows_sum', 'lane', 'model', 'version'],
  ['interleave_tokens_total', 'lane', 'model', 'version', 'kind'],
  ['interleave_items_total', 'lane', 'model', 'version'],
  ['interleave_duplicates_total', 'lane', 'model', 'version'],
  ['interleave_cost_ratio_sum', 'lane', 'model', 'version'],
  ['interleave_cost_ratio_bucket', 'lane', 'model', 'version', 'le'],
  ['interleave_tenant_executor_seconds_total', 'tenant'],
  ['interleave_tenant_refused_total', 'lane'],
  ['interleave_tier_requests_total', 'tier'],
  ['interleave_degraded_total', 'model', 'by'],
];

const WAYS = new Map<string, string[][]>();
for (const [name, ...labels] of COUNTED) WAYS.set(name, [...(WAYS.get(name) ?? []), labels]);

/** What a process, or all of them, have counted, by `counterKey`. */
export type Counts = Map<string, number>;

/** Label values in the order of the table above; names of models have no line breaks. */
export const counterKey = (name: string, labels: readonly string[], values: readonly string[]): string =>
  [`${name}{${labels.join()}}`, ...values].join('\n');

/** One pass over the metrics of a process. */
export function countsOf(metrics: MetricsJson): Counts {
  const counts: Counts = new Map();
  for (const { name, values } of metrics) {
    for (const { metricName = name, labels, value } of values as { metricName?: string; labels: Labels; value: number }[]) {
      for (const way of WAYS.get(metricName) ?? []) {
        const key = counterKey(
          metricName,
          way,
          way.map((label) => String(labels[label] ?? '')),
        );
        counts.set(key, (counts.get(key) ?? 0) + value);
      }
    }
  }
  return counts;
}

type Labels = Partial<Record<string, string | number>>;

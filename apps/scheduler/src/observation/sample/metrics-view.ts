import type { MetricsJson } from '@app/process';

type Labels = Record<string, string>;

interface Value {
  metricName?: string;
  labels: Partial<Record<string, string | number>>;
  value: number;
}

/** One bucket of a histogram: how many observations were at most `le`. */
export interface Bucket {
  le: number;
  count: number;
}

/** Reads gauges and counters out of the metrics of processes as prom-client gives them; series of equal names add up. */
export class MetricsView {
  private readonly byName = new Map<string, Value[]>();

  constructor(processes: readonly MetricsJson[]) {
    for (const { name, values } of processes.flat()) this.byName.set(name, [...(this.byName.get(name) ?? []), ...(values as Value[])]);
  }

  /** Over all series with these labels, of a histogram the observations counted; 0 when there is none. */
  sum(name: string, labels: Labels = {}): number {
    return this.values(name, labels)
      .filter(({ metricName }) => metricName === undefined || metricName === name || metricName === `${name}_count`)
      .reduce((sum, { value }) => sum + value, 0);
  }

  /** The values of a label among all series. */
  labels(name: string, label: string): string[] {
    return [...new Set(this.values(name, {}).map(({ labels }) => String(labels[label] ?? '')))].sort();
  }

  /** The largest of all series with these labels; null when there is none. */
  max(name: string, labels: Labels = {}): number | null {
    const values = this.values(name, labels).map(({ value }) => value);
    return values.length === 0 ? null : Math.max(...values);
  }

  private values(name: string, labels: Labels): Value[] {
    const values = this.byName.get(name) ?? [];
    return values.filter((value) => Object.entries(labels).every(([key, wanted]) => value.labels[key] === wanted));
  }
}

/**
 * The value that a share `q` of the observations between two readings of one histogram did not exceed, interpolated
 * within its bucket (the last finite bound when it is beyond all). Null without observations.
 */
export function quantileBetween(earlier: Bucket[], later: Bucket[], q: number): number | null {
  const before = new Map(earlier.map(({ le, count }) => [le, count]));
  const grown = later.map(({ le, count }) => ({ le, count: Math.max(0, count - (before.get(le) ?? 0)) }));
  const total = grown.at(-1)?.count ?? 0;
  if (total === 0) return null;
  const rank = q * total;
  let lower = { le: 0, count: 0 };
  for (const bucket of grown) {
    if (bucket.count >= rank) {
      if (bucket.le === Infinity) return lower.le;
      const inside = bucket.count - lower.count;
      return lower.le + (bucket.le - lower.le) * (inside === 0 ? 1 : (rank - lower.count) / inside);
    }
    lower = bucket;
  }
  return lower.le;
}

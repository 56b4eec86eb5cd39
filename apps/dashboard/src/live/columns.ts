import type { HistorySeries, NodeHistory } from '@app/contracts';

/** A history by series, as charts take it. */
export interface Columns {
  /** Seconds since 1970. */
  times: number[];
  of: (series: HistorySeries) => (number | null)[];
}

export function columnsOf({ series, points }: NodeHistory): Columns {
  return {
    times: points.map(({ atMs }) => atMs / 1_000),
    of: (name) => {
      const index = series.indexOf(name);
      return points.map(({ values }) => values[index] ?? null);
    },
  };
}

/** Each series on top of those before it; null where one of them is not known. */
export function stacked(parts: (number | null)[][]): (number | null)[][] {
  let below: (number | null)[] = [];
  return parts.map((part) => (below = part.map((value, i) => sum(value, below.length === 0 ? 0 : (below[i] ?? null)))));
}

const sum = (a: number | null, b: number | null): number | null => (a === null || b === null ? null : a + b);

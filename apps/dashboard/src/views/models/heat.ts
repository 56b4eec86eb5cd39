import type { CostGrid } from '@app/contracts';

/**
 * How strongly each cell of a cost table is coloured, 0 to 1: by the time of one row, from the cheapest to the dearest of its length in
 * equal steps of the ratio. Null: not measured.
 */
export function heatOf({ rows, runNs }: CostGrid): (number | null)[][] {
  return runNs.map((ofLength) => {
    const perRow = ofLength.map((ns, i) => (ns > 0 ? Math.log(ns / (rows[i] ?? 1)) : null));
    const known = perRow.filter((value) => value !== null);
    const [least, most] = [Math.min(...known), Math.max(...known)];
    return perRow.map((value) => (value === null ? null : most > least ? (value - least) / (most - least) : 0));
  });
}

import type { CostGrid } from '@app/contracts';

/** A row that costs so many times what the cheapest of its length does has the full colour; smaller differences are often noise. */
const FULL_COLOUR_RATIO = 4;

/** How strongly each cell is coloured, 0 to 1: by the time of one row, against the cheapest of its length. Null: not measured. */
export function heatOf({ rows, runNs }: CostGrid): (number | null)[][] {
  return runNs.map((ofLength) => {
    const perRow = ofLength.map((ns, i) => (ns > 0 ? ns / (rows[i] ?? 1) : null));
    const least = Math.min(...perRow.filter((ns) => ns !== null));
    return perRow.map((ns) => (ns === null ? null : Math.min(1, Math.log(ns / least) / Math.log(FULL_COLOUR_RATIO))));
  });
}

import type { ModelSignature } from '@app/contracts';
import type { LocalModel, LocalNode } from '../local-node';

const LENGTHS = [16, 64, 256];
const ROWS = [1, 8];
/** Of each cell; the median counts. */
const ROUNDS = 7;
const NS_PER_MS = 1e6;

/** A run that is measured. */
export interface SpeedCell {
  rows: number;
  /** Tokens of each row; 1 where the model has no sequence axis. */
  length: number;
}

export interface Speed {
  /** In the order of the cells; null: it could not be run. */
  msPerRow: (number | null)[];
}

export function speedCells(signature: ModelSignature, rowTokensMax: number | null): SpeedCell[] {
  const axes = signature.inputs.flatMap((input) => input.axes);
  const lengths = axes.some((axis) => axis.startsWith('sequence')) ? LENGTHS.filter((length) => length <= (rowTokensMax ?? Infinity)) : [1];
  const rows = axes.includes('batch') ? ROWS : [1];
  return (lengths.length === 0 ? [rowTokensMax ?? 1] : lengths).flatMap((length) => rows.map((count) => ({ rows: count, length })));
}

/**
 * CPU time of runs as the worker measures them, all models in turns, so that a machine that is slow for a while is slow for all.
 * A model whose rows never share runs takes as long for each of several rows as for one.
 */
export async function measureSpeed(
  node: LocalNode,
  models: readonly { model: LocalModel; sharesRuns: boolean }[],
  cells: readonly SpeedCell[],
): Promise<Speed[]> {
  const times = models.map(() => cells.map((): number[] => []));
  for (let round = 0; round <= ROUNDS; round++)
    for (const [c, { rows, length }] of cells.entries())
      for (const [m, { model, sharesRuns }] of models.entries()) {
        if (rows > 1 && !sharesRuns) continue;
        const ns = await node.measure(model, { rows, length }).catch(() => null);
        // The first run of a shape is slower than those that follow.
        if (ns !== null && round > 0) times[m]?.[c]?.push(ns / rows / NS_PER_MS);
      }
  return models.map(({ sharesRuns }, m) => ({
    msPerRow: cells.map((cell, c) => median(times[m]?.[sharesRuns ? c : firstOf(cells, cell)] ?? [])),
  }));
}

const firstOf = (cells: readonly SpeedCell[], { length }: SpeedCell): number => cells.findIndex((cell) => cell.length === length);

function median(values: number[]): number | null {
  const sorted = [...values].sort((a, b) => a - b);
  return sorted[Math.floor(sorted.length / 2)] ?? null;
}

/** How many times as fast as the original: the geometric mean over all cells that both could run; null: there is none. */
export function speedup(original: Speed, variant: Speed): number | null {
  const ratios = original.msPerRow.flatMap((ms, i) => {
    const other = variant.msPerRow[i] ?? null;
    return ms === null || other === null ? [] : [Math.log(ms / other)];
  });
  return ratios.length === 0 ? null : Math.exp(ratios.reduce((sum, ratio) => sum + ratio, 0) / ratios.length);
}

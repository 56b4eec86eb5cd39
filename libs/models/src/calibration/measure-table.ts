import type { MeasuredCells } from './measured-cells';
import type { Cell } from './plan';

export interface MeasureOptions {
  phases: Cell[][];
  /** What is known already; cells are added to it. */
  cells: MeasuredCells;
  /** CPU ns of one run. A rejection means that the cell cannot be run, unless `signal` is aborted. */
  measure: (cell: Cell) => Promise<number>;
  /** Sum of the runs' CPU time after which nothing more is started. */
  budgetMs: number;
  limits: RunLimits;
  signal: AbortSignal;
  onCell: (cell: Cell) => void;
  /** After each phase but the last. */
  onPhase: () => void;
}

/** Expected time of a run past which a cell is not worth measuring, in ms: no lane would run it. */
export interface RunLimits {
  singleRowMsMax: number;
  severalRowsMsMax: number;
}

export interface MeasureOutcome {
  /** False: aborted before the plan or the budget ended. */
  finished: boolean;
  /** Why the first cell that failed could not be run; null when all could. */
  error: string | null;
}

/**
 * Measures cell by cell and never throws. A cell that cannot be run rules out those with as many rows and tokens or more:
 * a model's longest row is often known only by trying.
 */
export async function measureTable(options: MeasureOptions): Promise<MeasureOutcome> {
  const { phases, cells, budgetMs, signal } = options;
  const refused: Cell[] = [];
  let error: string | null = null;
  let spentNs = 0;
  for (const [index, phase] of phases.entries()) {
    if (index > 0) options.onPhase();
    for (const cell of phase) {
      if (cells.has(cell) || refused.some((other) => isWithin(other, cell)) || isTooLong(cell, options)) continue;
      if (spentNs >= budgetMs * 1e6) return { finished: true, error };
      options.onCell(cell);
      try {
        const runs = await measureRuns(cell, options);
        if (signal.aborted) return { finished: false, error };
        spentNs += sum(runs);
        cells.set(cell, median(runs));
      } catch (failure) {
        if (signal.aborted) return { finished: false, error };
        error ??= (failure as Error).message;
        refused.push(cell);
      }
    }
  }
  return { finished: true, error };
}

const LONG_NS = 100e6;
const SHORT_NS = 10e6;

/** The shorter a run, the more it is disturbed. Never one alone: the first of its size also pays for fresh memory. */
const runsOf = (firstNs: number): number => (firstNs > LONG_NS ? 2 : firstNs > SHORT_NS ? 3 : 5);

async function measureRuns(cell: Cell, { measure, signal }: MeasureOptions): Promise<number[]> {
  const runs = [await measure(cell)];
  while (runs.length < runsOf(runs[0] ?? 0) && !signal.aborted) runs.push(await measure(cell));
  return runs;
}

function isTooLong(cell: Cell, { cells, limits }: MeasureOptions): boolean {
  const limitMs = cell.rows === 1 ? limits.singleRowMsMax : limits.severalRowsMsMax;
  return (cells.estimateNs(cell) ?? 0) > limitMs * 1e6;
}

const isWithin = (inner: Cell, outer: Cell): boolean => inner.rows <= outer.rows && inner.length <= outer.length;
const sum = (values: number[]): number => values.reduce((total, value) => total + value, 0);
/** The lower one of two. */
const median = (values: number[]): number => values.sort((a, b) => a - b)[Math.floor((values.length - 1) / 2)] ?? 0;

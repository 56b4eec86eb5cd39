import type { CostGrid } from '@app/contracts';
import type { CostKey } from './cost-key';
import type { CostStore } from './cost-store';
import { measureTable, type MeasureOptions } from './measure-table';
import { MeasuredCells } from './measured-cells';
import type { Cell } from './plan';

/** Deaths that end it: the first may have been somebody's kill. */
const STARTS_MAX = 2;

export interface CalibrationRun extends Pick<MeasureOptions, 'phases' | 'measure' | 'budgetMs' | 'limits' | 'signal'> {
  store: CostStore;
  id: string;
  key: CostKey;
  /** What need not be measured again. */
  known: CostGrid | null;
  /** For messages and for people who look at the file. */
  model: string;
  onCell: (cell: Cell) => void;
  /** A table that is better than the one before; called before it is stored. */
  onTable: (grid: CostGrid) => void;
}

export type CalibrationOutcome = { state: 'measured' } | { state: 'skipped'; reason: string } | { state: 'aborted' };

/**
 * Measures the table of one model and stores it. The caller holds the lock of the key. While it runs, a marker lies beside the
 * table: a process that finds one knows that the one before died here. After two deaths nobody tries again until the marker is
 * removed. Throws when files cannot be written.
 */
export async function calibrate(run: CalibrationRun): Promise<CalibrationOutcome> {
  const { store, id } = run;
  const left = store.marker(id);
  if (left !== null && left.starts >= STARTS_MAX) {
    return {
      state: 'skipped',
      reason: `the process died ${left.starts} times while it measured, last at ${left.cell ?? 'the start'}; to try again: interleave calibrate ${run.model}`,
    };
  }
  const marker = { starts: (left?.starts ?? 0) + 1, cell: left?.cell ?? null };
  const cells = MeasuredCells.of(run.known);
  const keep = (finished: boolean): void => {
    const grid = cells.grid();
    if (grid === null || (!finished && store.read(id)?.finished === true)) return;
    run.onTable(grid);
    store.write(id, { model: run.model, key: run.key, measuredAt: new Date().toISOString(), finished, grid });
  };
  try {
    const { finished, error } = await measureTable({
      ...run,
      cells,
      onCell: (cell) => {
        store.writeMarker(id, { ...marker, cell: `${cell.rows} × ${cell.length}` });
        run.onCell(cell);
      },
      onPhase: () => keep(false),
    });
    keep(finished);
    if (!finished) return { state: 'aborted' };
    return cells.grid() === null ? { state: 'skipped', reason: error ?? 'there was no time for a single run' } : { state: 'measured' };
  } finally {
    store.removeMarker(id); // only a death leaves it
  }
}

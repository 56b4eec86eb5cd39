import type { CostGrid } from '@app/contracts';
import type { Cell } from './plan';

interface MeasuredCell extends Cell {
  ns: number;
}

const tokensOf = ({ rows, length }: Cell): number => rows * length;

/** What was measured so far, in ns by cell. */
export class MeasuredCells {
  private readonly byLength = new Map<number, Map<number, number>>();

  static of(grid: CostGrid | null): MeasuredCells {
    const cells = new MeasuredCells();
    grid?.lengths.forEach((length, i) =>
      grid.rows.forEach((rows, j) => {
        const ns = grid.runNs[i]?.[j] ?? 0;
        if (ns > 0) cells.set({ rows, length }, ns);
      }),
    );
    return cells;
  }

  has({ rows, length }: Cell): boolean {
    return this.byLength.get(length)?.has(rows) ?? false;
  }

  set({ rows, length }: Cell, ns: number): void {
    const row = this.byLength.get(length) ?? new Map<number, number>();
    this.byLength.set(length, row.set(rows, ns));
  }

  /**
   * What a cell may cost: along the line from the smallest measured cell inside it through the largest, so that the fixed
   * cost of a run does not grow with the tokens. Null when none is inside.
   */
  estimateNs({ rows, length }: Cell): number | null {
    const inside = this.entries().filter((cell) => cell.rows <= rows && cell.length <= length);
    const smallest = inside.reduce<MeasuredCell | null>(
      (best, cell) => (best === null || tokensOf(cell) < tokensOf(best) ? cell : best),
      null,
    );
    const largest = inside.reduce<MeasuredCell | null>(
      (best, cell) => (best === null || tokensOf(cell) > tokensOf(best) ? cell : best),
      null,
    );
    if (smallest === null || largest === null) return null;
    const apart = tokensOf(largest) - tokensOf(smallest);
    const tokenNs = apart === 0 ? 0 : Math.max(0, (largest.ns - smallest.ns) / apart);
    return largest.ns + tokenNs * (rows * length - tokensOf(largest));
  }

  private entries(): MeasuredCell[] {
    return [...this.byLength].flatMap(([length, row]) => [...row].map(([rows, ns]) => ({ rows, length, ns })));
  }

  /** Null until there is a length whose single row is measured; lengths without one are left out. */
  grid(): CostGrid | null {
    const measured = [...this.byLength].filter(([, row]) => row.has(1)).sort(([a], [b]) => a - b);
    if (measured.length === 0) return null;
    const rows = [...new Set(measured.flatMap(([, row]) => [...row.keys()]))].sort((a, b) => a - b);
    return {
      lengths: measured.map(([length]) => length),
      rows,
      runNs: measured.map(([, row]) => rows.map((count) => row.get(count) ?? 0)),
    };
  }
}

import type { CostGrid } from '@app/contracts';

/** A batch this close to the best of its length is at the knee: larger ones gain next to nothing. */
const KNEE_FACTOR = 1.05;
/** Backgrounds of the 256-colour palette, best to worst, and from which multiple of the best per-row cost each holds. */
const SHADES = [
  { from: 0, colour: 28 },
  { from: 1.06, colour: 64 },
  { from: 1.15, colour: 100 },
  { from: 1.3, colour: 136 },
  { from: 1.5, colour: 130 },
  { from: 1.8, colour: 124 },
];
const CELL_WIDTH = 7;
const CORNER = 'tokens \\ rows';

/** Milliseconds per row by length and rows of a run, with the knee of each length marked; shaded by how far from the best it is. */
export function heatMap({ lengths, rows, runNs }: CostGrid, colours: boolean): string {
  const header = `${CORNER}${rows.map((count) => String(count).padStart(CELL_WIDTH)).join('')}`;
  const lines = lengths.map(
    (length, i) =>
      `${String(length).padStart(CORNER.length)}${cellsOf(rows, runNs[i] ?? [], colours)
        .join('')
        .trimEnd()}`,
  );
  return [header, ...lines, 'ms per row; * smallest batch within 5 % of the best for this length'].join('\n');
}

function cellsOf(rows: number[], runNs: number[], colours: boolean): string[] {
  const rowMs = rows.map((count, j) => (runNs[j] ? runNs[j] / count / 1e6 : null));
  const best = Math.min(...rowMs.filter((ms) => ms !== null));
  const knee = rowMs.findIndex((ms) => ms !== null && ms <= best * KNEE_FACTOR);
  return rowMs.map((ms, j) => {
    if (ms === null) return ' '.repeat(CELL_WIDTH);
    const text = `${digits(ms)}${j === knee ? '*' : ''}`.padStart(CELL_WIDTH);
    return colours ? `\u001b[48;5;${shadeOf(ms / best)}m${text}\u001b[0m` : text;
  });
}

/** Three significant digits. */
const digits = (ms: number): string => ms.toFixed(ms >= 100 ? 0 : ms >= 10 ? 1 : ms >= 1 ? 2 : 3);

const shadeOf = (multiple: number): number => SHADES.findLast(({ from }) => multiple >= from)?.colour ?? 0;

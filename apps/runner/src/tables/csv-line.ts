import { BadTable } from './table-task';

const CELL = /,(?:"((?:[^"]|"")*)"|([^",]*))(?=,|$)/y;

/** The cells of one line of CSV. */
export function splitCsvLine(line: string): string[] {
  const cells: string[] = [];
  CELL.lastIndex = 0;
  // With a comma before each cell, the first one too, no match is empty.
  const cellsLine = `,${line}`;
  while (CELL.lastIndex < cellsLine.length) {
    const match = CELL.exec(cellsLine);
    if (match === null) throw new BadTable('The first line of the CSV is no list of names: look at its quotes.', 'invalid_table', 1);
    cells.push(match[1]?.replaceAll('""', '"') ?? match[2] ?? '');
  }
  return cells;
}

import { BadTable } from './table-task';

const CELL = /(?:^|,)(?:"((?:[^"]|"")*)"|([^",]*))(?=,|$)/y;

/** The cells of one line of CSV. */
export function splitCsvLine(line: string): string[] {
  const cells: string[] = [];
  CELL.lastIndex = 0;
  while (CELL.lastIndex < line.length || cells.length === 0) {
    const match = CELL.exec(line);
    if (match === null) throw new BadTable('The first line of the CSV is no list of names: look at its quotes.', 'invalid_table', 1);
    cells.push(match[1]?.replaceAll('""', '"') ?? match[2] ?? '');
  }
  return cells;
}

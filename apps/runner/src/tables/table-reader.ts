import type { TableColumn } from '@app/batches';
import { BadTable } from './table-task';

/** What a cell is given on as: text, texts, or nothing. */
export type Cell = string | (string | null)[] | null;

/** The columns that are wanted of a table. */
export interface WantedColumns {
  /** Given on as text from which their values can be made again. */
  carried: readonly string[];
  /** Texts. */
  texts: readonly string[];
  /** Lists of texts. */
  lists: readonly string[];
}

/** A table that is read once, from its start to its end. */
export interface TableReader {
  /** Of the carried columns. */
  readonly columns: TableColumn[];
  /** Groups of consecutive rows, each as its columns: carried ones, texts, lists. */
  groups(): AsyncIterable<Cell[][]>;
}

const NAMES_SHOWN_MAX = 20;
/** What works for a column that cannot be copied as it is. */
export const DECIMAL_REMEDY = 'cast it to a decimal of at most 38 digits with a scale from 0, or to text';
export const TIME_REMEDY = 'cast it to a timestamp of microseconds, or to text';

/** Throws for columns that are not there, with all of their names, and for those of which there are several. */
export function checkNames(wanted: WantedColumns, names: readonly string[]): void {
  const all = [...new Set([...wanted.texts, ...wanted.lists, ...wanted.carried])];
  const nul = all.find((name) => name.includes('\0'));
  if (nul !== undefined) throw new BadTable(`The name of column ${namesText([nul])} has a NUL character; rename it.`, 'invalid_column');
  const several = all.find((name) => names.indexOf(name) !== names.lastIndexOf(name));
  if (several !== undefined)
    throw new BadTable(`Expected one column ${namesText([several])} but the file has several; rename the others.`, 'invalid_column');
  const missing = all.filter((name) => !names.includes(name));
  if (missing.length === 0) return;
  const subject = missing.length === 1 ? 'There is no column' : 'There are no columns';
  throw new BadTable(`${subject} ${namesText(missing)}; the table has ${namesText(names)}.`, 'unknown_column');
}

function namesText(names: readonly string[]): string {
  const shown = names.slice(0, NAMES_SHOWN_MAX).map((name) => JSON.stringify(name.slice(0, 64)));
  return `${shown.join(', ')}${names.length > NAMES_SHOWN_MAX ? ` and ${names.length - NAMES_SHOWN_MAX} more` : ''}`;
}

export function notText(name: string, type: string, expected: string): BadTable {
  return new BadTable(`Expected ${expected} in column ${JSON.stringify(name)} but it has ${type}.`, 'invalid_column');
}

export function notCarried(name: string, type: string, remedy = 'expected texts, numbers, times or bytes'): BadTable {
  return new BadTable(
    `Column ${JSON.stringify(name)} has values of type ${type}, which cannot be copied exactly; ${remedy}.`,
    'invalid_column',
  );
}

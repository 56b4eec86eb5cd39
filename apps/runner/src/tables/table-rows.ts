import type { DuckDBValue } from '@duckdb/node-api';
import { answerColumns, bodyOf } from './answer-cells';
import type { LineSource } from './stream-io';
import type { WriteTask } from './table-task';

/**
 * What stands before the lines of one chunk: how many lines of errors, rows and outputs follow, in this order, each of the three in the
 * order of the rows.
 */
export interface ChunkHeader {
  firstRow: number;
  errors: number;
  rows: number;
  outputs: number;
}

const MESSAGE_CHARS_MAX = 1_000;
/** A row group of the smallest size has to fit into memory. */
const CELLS_CHARS_MAX = 4 * 1024 * 1024;
const TOO_LONG = 'The answer is too long for a table; ask for an output of JSON Lines.';
const NOT_RUN = 'This request was not executed.';
const OTHER_FORM = 'The answer has another form than those of the other rows; ask for an output of JSON Lines.';

interface Row {
  customId: string;
  keep: (string | null)[];
}

/**
 * The cells of each row that has a line in one of the two files, in order: its id, what it keeps, those of its answer, and why it has
 * none.
 */
export function* tableRows(lines: LineSource, task: WriteTask): Generator<DuckDBValue[], void, void> {
  const { types, cellsOf } = answerColumns(task.endpoint, task.sample);
  const noAnswer = Object.keys(types).map(() => null);
  const failed = ({ customId, keep }: Row, message: string): DuckDBValue[] => [customId, ...keep, ...noAnswer, message];
  for (let header = lines.next(); header !== null; header = lines.next()) {
    const chunk = JSON.parse(header) as ChunkHeader;
    const errors = readErrors(lines, chunk.errors);
    const rows = readRows(lines, chunk.rows, task.kept.length);
    let at = 0;
    let given = 0;
    const rowsBefore = function* (end: number): Generator<DuckDBValue[], void, void> {
      for (; at < end; at++) {
        const message = errors.get(chunk.firstRow + at);
        if (message === undefined) continue;
        given += 1;
        yield failed(rows[at] as Row, message);
      }
    };
    for (let count = 0; count < chunk.outputs; count++) {
      const line = expectLine(lines);
      const index = rowOf(line) - chunk.firstRow;
      const row = rows[index];
      if (row === undefined || index < at)
        throw new Error(`expected an output of a row from ${chunk.firstRow + at} on but received ${line.slice(0, 80)}`);
      yield* rowsBefore(index);
      at += 1;
      given += 1;
      const cells = line.length > CELLS_CHARS_MAX ? null : cellsOf(bodyOf(line));
      if (cells !== null) yield [row.customId, ...row.keep, ...cells, null];
      else yield failed(row, line.length > CELLS_CHARS_MAX ? TOO_LONG : OTHER_FORM);
    }
    yield* rowsBefore(rows.length);
    if (given !== chunk.errors + chunk.outputs)
      throw new Error(`expected ${chunk.errors + chunk.outputs} rows from ${chunk.firstRow} on but received lines of ${given}`);
  }
}

function readErrors(lines: LineSource, count: number): Map<number, string> {
  const errors = new Map<number, string>();
  for (let i = 0; i < count; i++) {
    const line = expectLine(lines);
    const { error } = JSON.parse(line) as { error: { message: string } | null };
    errors.set(rowOf(line), (error?.message ?? NOT_RUN).slice(0, MESSAGE_CHARS_MAX));
  }
  return errors;
}

/** `keptCount`: of lines that were made of a table. Whoever wrote the lines may have a `keep` of their own, which is none of ours. */
function readRows(lines: LineSource, count: number, keptCount: number): Row[] {
  const rows: Row[] = [];
  for (let i = 0; i < count; i++) {
    const line = withoutMark(expectLine(lines));
    const { custom_id: customId, keep } = JSON.parse(line) as { custom_id: string; keep?: unknown };
    rows.push({ customId, keep: keptCount === 0 ? [] : keptCells(keep, keptCount, line) });
  }
  return rows;
}

function keptCells(keep: unknown, count: number, line: string): Row['keep'] {
  if (Array.isArray(keep) && keep.length === count) return keep as Row['keep'];
  throw new Error(`expected a line with ${count} kept cells but received ${line.slice(0, 80)}`);
}

function expectLine(lines: LineSource): string {
  const line = lines.next();
  if (line === null) throw new Error('the results of the batch end too early');
  return line;
}

/** Ids end with the number of their row; it is the first thing of a line. */
function rowOf(line: string): number {
  const [, row] = /^\{"id":"batch_req_[^"]*_(\d+)"/.exec(line) ?? [];
  if (row === undefined) throw new Error(`expected a line with the id of a row but received ${line.slice(0, 80)}`);
  return Number(row);
}

const withoutMark = (line: string): string => line.replace(/^\uFEFF/, '');

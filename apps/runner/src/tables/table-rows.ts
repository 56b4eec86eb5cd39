import { answerColumns, bodyOf } from './answer-cells';
import { LineSource } from './stream-io';
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
/** DuckDB takes rows of at most 16 MiB. */
const CELLS_CHARS_MAX = 4 * 1024 * 1024;
const TOO_LONG = 'The answer is too long for a table; ask for an output of JSON Lines.';
const NOT_RUN = 'This request was not executed.';
const OTHER_FORM = 'The answer has another form than those of the other rows; ask for an output of JSON Lines.';

interface Row {
  customId: string;
  keep: (string | null)[];
}

/** The rows of the table as JSON Lines, one for each row of the input, in order. */
export async function* tableRows(parts: AsyncIterable<Buffer>, task: WriteTask): AsyncGenerator<string, void, void> {
  const lines = new LineSource(parts);
  const { cellsOf } = answerColumns(task.endpoint, task.sample);
  for (let header = await lines.next(); header !== null; header = await lines.next()) {
    const chunk = JSON.parse(header) as ChunkHeader;
    const errors = await readErrors(lines, chunk.errors);
    const rows = await readRows(lines, chunk.rows);
    let at = 0;
    const rowsBefore = function* (end: number): Generator<string, void, void> {
      for (; at < end; at++) yield failed(rows[at] as Row, errors.get(chunk.firstRow + at) ?? NOT_RUN);
    };
    for (let count = 0; count < chunk.outputs; count++) {
      const line = await expectLine(lines);
      const index = rowOf(line) - chunk.firstRow;
      const row = rows[index];
      if (row === undefined || index < at)
        throw new Error(`expected an output of a row from ${chunk.firstRow + at} on but received ${line.slice(0, 80)}`);
      yield* rowsBefore(index);
      at += 1;
      const cells = cellsOf(bodyOf(line));
      if (cells === null) yield failed(row, OTHER_FORM);
      else yield cells.length > CELLS_CHARS_MAX ? failed(row, TOO_LONG) : `${opening(row)},${cells}}\n`;
    }
    yield* rowsBefore(rows.length);
  }
}

async function readErrors(lines: LineSource, count: number): Promise<Map<number, string>> {
  const errors = new Map<number, string>();
  for (let i = 0; i < count; i++) {
    const line = await expectLine(lines);
    const { error } = JSON.parse(line) as { error: { message: string } | null };
    errors.set(rowOf(line), (error?.message ?? NOT_RUN).slice(0, MESSAGE_CHARS_MAX));
  }
  return errors;
}

async function readRows(lines: LineSource, count: number): Promise<Row[]> {
  const rows: Row[] = [];
  for (let i = 0; i < count; i++) {
    const { custom_id: customId, keep = [] } = JSON.parse(withoutMark(await expectLine(lines))) as {
      custom_id: string;
      keep?: Row['keep'];
    };
    rows.push({ customId, keep });
  }
  return rows;
}

async function expectLine(lines: LineSource): Promise<string> {
  const line = await lines.next();
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

function opening({ customId, keep }: Row): string {
  return `{"id":${JSON.stringify(customId)}${keep.map((value, i) => `,"k${i}":${JSON.stringify(value)}`).join('')}`;
}

const failed = (row: Row, message: string): string => `${opening(row)},"error":${JSON.stringify(message)}}\n`;

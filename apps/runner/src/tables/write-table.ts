import { createReadStream } from 'node:fs';
import { pipeline } from 'node:stream/promises';
import { DuckDBListValue, DuckDBTableFunction, VARCHAR, type DuckDBConnection, type DuckDBType, type DuckDBValue } from '@duckdb/node-api';
import { answerColumns, ERROR_COLUMN } from './answer-cells';
import { openDuckDb, sqlName, sqlText } from './duckdb';
import { LineSource } from './stream-io';
import { tableRows } from './table-rows';
import { RESULTS_FD, type WriteTask } from './table-task';

const GROUP_ROWS_MAX = 122_880;
const GROUP_ROWS_MIN = 64;
/** Of the text of the rows of a row group, which is in memory until it is whole. */
const GROUP_TEXT_BYTES = 32 * 1024 * 1024;
/** A row group, as it comes and as it is written. */
const MEMORY_MB = 256;
/** Of DuckDB's vectors. */
const CHUNK_ROWS_MAX = 2_048;
/** Of the rows that go to DuckDB at once. */
const CHUNK_BYTES = 4 * 1024 * 1024;
const NUMBER_BYTES = 8;
const ROWS = 'rows_of_batch';

/** Writes the table to standard output, of rows and results on standard input; nothing but one row group is in memory. */
export async function writeTable(task: WriteTask): Promise<void> {
  const { tablePipe, id, kept, endpoint, sample } = task;
  const connection = await openDuckDb([tablePipe], MEMORY_MB);
  const answers = answerColumns(endpoint, sample);
  const fields: [string, DuckDBType][] = [
    ['id', VARCHAR],
    ...kept.map((_, i): [string, DuckDBType] => [`k${i}`, VARCHAR]),
    ...Object.entries(answers.types),
    [ERROR_COLUMN, VARCHAR],
  ];
  giveRows(connection, fields, tableRows(new LineSource(RESULTS_FD), task));
  const cells = [
    cell('id', id),
    ...kept.map((column, i) => cell(`k${i}`, column)),
    ...Object.keys(answers.types).map(sqlName),
    sqlName(ERROR_COLUMN),
  ];
  const copy = connection.run(`COPY (SELECT ${cells.join(', ')} FROM ${ROWS}()) TO ${sqlText(tablePipe)} (${options(task)})`);
  const sent = pipeline(createReadStream(tablePipe), process.stdout, { end: false });
  await Promise.all([copy, sent]);
}

const cell = (field: string, { name, type }: { name: string; type: string }): string =>
  `CAST(${sqlName(field)} AS ${type}) AS ${sqlName(name)}`;

function options({ format, sample }: WriteTask): string {
  if (format === 'csv') return `FORMAT csv, HEADER true, DELIM ',', QUOTE '"', ESCAPE '"', USE_TMP_FILE false`;
  const rows = Math.floor(GROUP_TEXT_BYTES / Math.max(1, sample?.length ?? 1));
  const groupRows = Math.min(GROUP_ROWS_MAX, Math.max(GROUP_ROWS_MIN, rows));
  return `FORMAT parquet, COMPRESSION zstd, ROW_GROUP_SIZE ${groupRows}, USE_TMP_FILE false`;
}

/** A table function that gives these rows once, in order. It runs on this thread, and keeps it while results are on their way. */
function giveRows(connection: DuckDBConnection, fields: [string, DuckDBType][], rows: Iterator<DuckDBValue[], void>): void {
  const give = DuckDBTableFunction.create({
    name: ROWS,
    bindFunction: (info) => fields.forEach(([name, type]) => info.addResultColumn(name, type)),
    initFunction: (info) => info.setMaxThreads(1),
    mainFunction: (info, chunk) => {
      try {
        const next = nextRows(rows);
        chunk.rowCount = next.length;
        if (next.length > 0) chunk.setRows(next);
      } catch (error) {
        info.setError((error as Error).message);
      }
    },
  });
  connection.registerTableFunction(give);
}

/** Empty: there are no more. */
function nextRows(rows: Iterator<DuckDBValue[], void>): DuckDBValue[][] {
  const next: DuckDBValue[][] = [];
  for (let bytes = 0; next.length < CHUNK_ROWS_MAX && bytes < CHUNK_BYTES;) {
    const { done, value } = rows.next();
    if (done === true) break;
    for (const each of value) bytes += bytesOf(each);
    next.push(value);
  }
  return next;
}

const bytesOf = (cell: DuckDBValue): number =>
  typeof cell === 'string' ? cell.length : cell instanceof DuckDBListValue ? cell.items.length * NUMBER_BYTES : 0;

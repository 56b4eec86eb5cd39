import { createReadStream, createWriteStream } from 'node:fs';
import { pipeline } from 'node:stream/promises';
import { answerColumns, ERROR_COLUMN } from './answer-cells';
import { openDuckDb, sqlName, sqlText } from './duckdb';
import { writeAll } from './stream-io';
import { tableRows } from './table-rows';
import type { WriteTask } from './table-task';

const GROUP_ROWS_MAX = 122_880;
const GROUP_ROWS_MIN = 2_048;
/** Of the text of the rows of a row group, which is in memory until it is whole. */
const GROUP_TEXT_BYTES = 64 * 1024 * 1024;
const FLUSH_CHARS = 256 * 1024;
/** A row group, and two reads of 32 MiB. */
const MEMORY_MB = 256;

/** Writes the table to standard output, of rows and results on standard input; nothing but one row group is in memory. */
export async function writeTable(task: WriteTask): Promise<void> {
  const { rowsFile, tablePipe, id, kept, endpoint, sample } = task;
  await storeRows(task);
  const connection = await openDuckDb([rowsFile, tablePipe], MEMORY_MB);
  const answers = answerColumns(endpoint, sample);
  const fields = { id: 'VARCHAR', ...Object.fromEntries(kept.map((_, i) => [`k${i}`, 'VARCHAR'])), ...answers.types, error: 'VARCHAR' };
  const types = Object.entries(fields).map(([name, type]) => `${name}: ${sqlText(type)}`);
  const cells = [
    cell('id', id),
    ...kept.map((column, i) => cell(`k${i}`, column)),
    ...Object.keys(answers.types).map(sqlName),
    sqlName(ERROR_COLUMN),
  ];
  const from = `read_json(${sqlText(rowsFile)}, format='newline_delimited', compression='uncompressed', columns={${types.join(', ')}})`;
  const copy = connection.run(`COPY (SELECT ${cells.join(', ')} FROM ${from}) TO ${sqlText(tablePipe)} (${options(task)})`);
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

/** In a file: DuckDB keeps all that it has read of a pipe. */
async function storeRows(task: WriteTask): Promise<void> {
  const file = createWriteStream(task.rowsFile, { mode: 0o600 });
  let text = '';
  for await (const row of tableRows(process.stdin, task)) {
    text += row;
    if (text.length < FLUSH_CHARS) continue;
    await writeAll(file, text);
    text = '';
  }
  await new Promise<void>((resolve, reject) => {
    file.once('error', reject);
    file.end(text, () => resolve());
  });
}

import { DuckDBListValue, type DuckDBConnection, type DuckDBValue } from '@duckdb/node-api';
import type { Compression, FileFormat } from '@app/batches';
import { asBadTable, sqlName, sqlText } from './duckdb';
import { checkCsv } from './check-csv';
import { splitCsvLine } from './csv-line';
import { parquetColumns, type ParquetColumn } from './parquet-columns';
import { checkCanUnpack } from './text-reader';
import { checkNames, notCarried, notText, type Cell, type TableReader, type WantedColumns } from './table-reader';
import { BadTable } from './table-task';

const TEXTS = /^(VARCHAR|JSON|ENUM\()/;
/** Of these the text of a value gives the same value again. */
const CARRIED =
  /^(BOOLEAN|U?TINYINT|U?SMALLINT|U?INTEGER|U?BIGINT|FLOAT|DOUBLE|DECIMAL\(\d+,\d+\)|VARCHAR|DATE|TIME|TIMESTAMP|TIMESTAMP_S|TIMESTAMP_MS|TIMESTAMP_NS|TIMESTAMP WITH TIME ZONE|UUID|BLOB)$/;

export interface DuckDbSource {
  path: string;
  format: Extract<FileFormat, 'csv' | 'parquet'>;
  compression: Compression | null;
  rowBytesMax: number;
}

interface SourceColumn extends ParquetColumn {
  /** What DuckDB calls it. */
  readAs: string;
  /** What DuckDB reads of it. */
  type: string;
}

/** Rows of CSV (cells are texts, as they are) or Parquet. Throws `BadTable`. */
export async function openDuckDbReader(connection: DuckDBConnection, source: DuckDbSource, wanted: WantedColumns): Promise<TableReader> {
  // DuckDB unpacks zstd itself, but takes a file that was cut for a whole one.
  if (source.format === 'csv') checkCanUnpack(source.compression);
  const table = await tableFunction(connection, source);
  const all = await describe(connection, table, source);
  const names = all.map(({ name }) => name);
  checkNames(wanted, names);
  const find = (name: string): SourceColumn => all.find((column) => column.name === name) as SourceColumn;
  const columns = wanted.carried.map((name) => ({ name, type: carriedType(find(name)) }));
  for (const name of wanted.texts) checkText(find(name));
  for (const name of wanted.lists) {
    const { type } = find(name);
    if (!/^VARCHAR\[\d*\]$/.test(type)) throw notText(name, type, 'lists of texts');
  }
  const cells = [
    ...[...wanted.carried, ...wanted.texts].map((name) => marked(`CAST(${sqlName(find(name).readAs)} AS VARCHAR)`)),
    ...wanted.lists.map((name) => `list_transform(CAST(${sqlName(find(name).readAs)} AS VARCHAR[]), lambda text: ${marked('text')})`),
  ];
  return {
    columns,
    async *groups(): AsyncGenerator<Cell[][], void, void> {
      yield* readGroups(connection, `SELECT ${cells.join(', ')} FROM ${table}`, source.path);
      if (source.format === 'csv') await checkCsv(source.path, source.compression);
    },
  };
}

/** DuckDB's package takes a byte order mark away from the start of a text: give it one more. */
const marked = (text: string): string => `CASE WHEN starts_with(${text}, chr(65279)) THEN chr(65279) || ${text} ELSE ${text} END`;

async function tableFunction(connection: DuckDBConnection, { path, format, compression, rowBytesMax }: DuckDbSource): Promise<string> {
  if (format === 'parquet') return `read_parquet(${sqlText(path)})`;
  const options = [
    // What is not said is never guessed at from the cells.
    'auto_detect=false',
    `compression='${compression ?? 'none'}'`,
    `max_line_size=${rowBytesMax}`,
    `buffer_size=${2 * rowBytesMax}`,
    'null_padding=false',
    'ignore_errors=false',
    'parallel=false',
    `comment=''`,
    // An empty cell is nothing, "" an empty text.
    `nullstr=''`,
    'allow_quoted_nulls=false',
  ].join(', ');
  const header = await readHeader(connection, path, options);
  const columns = header.map((name) => `${sqlText(name)}: 'VARCHAR'`).join(', ');
  return `read_csv(${sqlText(path)}, ${options}, delim=',', quote='"', escape='"', strict_mode=true, header=true, columns={${columns}})`;
}

/** The names in the first line of CSV. */
async function readHeader(connection: DuckDBConnection, path: string, options: string): Promise<string[]> {
  // As a table of one column: no text has this byte.
  const lines = `read_csv(${sqlText(path)}, ${options}, delim=chr(1), quote='', escape='', strict_mode=false, header=false, columns={line: 'VARCHAR'})`;
  const [[line] = []] = await explained(path, async () => (await connection.runAndReadAll(`SELECT line FROM ${lines} LIMIT 1`)).getRows());
  if (typeof line !== 'string') throw new BadTable('Expected the names of the columns in the first line of the CSV but there is none.');
  // DuckDB has no empty names; pandas gives none to its index.
  const names = splitCsvLine(line.replace(/^\uFEFF/, '')).map((name, i) => (name === '' ? `column${i}` : name));
  const nul = names.findIndex((name) => name.includes('\0'));
  if (nul !== -1) throw new BadTable(`The name of column ${nul + 1} of the CSV has a NUL character; rename it.`, 'invalid_table', 1);
  const twice = names.find((name, at) => names.some((other, i) => i < at && other.toLowerCase() === name.toLowerCase()));
  if (twice !== undefined)
    throw new BadTable(`Two columns of the CSV are called ${JSON.stringify(twice)}, in the first line.`, 'invalid_table', 1);
  return names;
}

async function describe(connection: DuckDBConnection, table: string, { path, format }: DuckDbSource): Promise<SourceColumn[]> {
  const rows = await explained(path, async () => (await connection.runAndReadAll(`DESCRIBE SELECT * FROM ${table}`)).getRows());
  const read = rows.map(([name, type]) => ({ name: String(name), readAs: String(name), type: String(type), inexact: null }));
  if (format === 'csv') return read;
  const inFile = await explained(path, () => parquetColumns(connection, path));
  if (inFile.length !== read.length)
    throw new BadTable(`The table cannot be read: its schema has ${inFile.length} columns, of which ${read.length} can be read.`);
  return read.map((column, i) => ({ ...column, ...inFile[i] }));
}

async function explained<T>(path: string, work: () => Promise<T>): Promise<T> {
  try {
    return await work();
  } catch (error) {
    throw asBadTable(error, path);
  }
}

function carriedType({ name, type, inexact }: SourceColumn): string {
  if (inexact !== null) throw notCarried(name, inexact.type, inexact.remedy);
  if (TEXTS.test(type) && !type.endsWith('[]')) return 'VARCHAR';
  if (!CARRIED.test(type)) throw notCarried(name, type);
  return type;
}

function checkText({ name, type }: SourceColumn): void {
  if (!TEXTS.test(type) || type.endsWith(']')) throw notText(name, type, 'texts');
}

async function* readGroups(connection: DuckDBConnection, sql: string, path: string): AsyncGenerator<Cell[][], void, void> {
  try {
    const result = await connection.stream(sql);
    for (;;) {
      const chunk = await result.fetchChunk();
      if (chunk === null || chunk.rowCount === 0) return;
      yield chunk.getColumns().map((column) => column.map(toCell));
    }
  } catch (error) {
    if (error instanceof BadTable) throw error;
    throw asBadTable(error, path);
  }
}

function toCell(value: DuckDBValue): Cell {
  if (value === null || typeof value === 'string') return value;
  // A list with a hole in it is no list of texts: the row fails, and says so.
  if (value instanceof DuckDBListValue) return value.items as string[];
  throw new Error(`expected a text but DuckDB gave ${typeof value}`);
}

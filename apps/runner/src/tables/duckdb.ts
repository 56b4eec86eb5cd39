import { DuckDBInstance, type DuckDBConnection } from '@duckdb/node-api';
import { BadTable } from './table-task';

const MESSAGE_CHARS_MAX = 400;
const CSV_ERROR = /^Invalid Input Error: CSV Error/;
const LINE = /\bLine: (\d{1,15})/;

/** A connection that reaches `paths` and nothing else, of this machine or the network, and loads no code. */
export async function openDuckDb(paths: readonly string[], memoryMb: number): Promise<DuckDBConnection> {
  const instance = await DuckDBInstance.create(':memory:', {
    threads: '1',
    memory_limit: `${memoryMb}MB`,
    autoinstall_known_extensions: 'false',
    autoload_known_extensions: 'false',
    allow_community_extensions: 'false',
    preserve_insertion_order: 'true',
    temp_directory: '',
  });
  const connection = await instance.connect();
  await connection.run(`SET allowed_paths = [${paths.map(sqlText).join(', ')}]`);
  await connection.run('SET enable_external_access = false');
  // Offsets as text have whole minutes: that of a place may have had seconds.
  await connection.run(`SET TimeZone = 'UTC'`);
  await connection.run('SET lock_configuration = true');
  return connection;
}

export const sqlText = (value: string): string => `'${value.replaceAll("'", "''")}'`;

export const sqlName = (name: string): string => `"${name.replaceAll('"', '""')}"`;

/** What DuckDB says of a file. */
export function asBadTable(error: unknown, path: string): BadTable {
  const message = (error as Error).message.replaceAll(path, 'the file').trim();
  const line = LINE.exec(message)?.[1];
  const shown = reasonIn(message).slice(0, MESSAGE_CHARS_MAX);
  const remedy = /out of memory/i.test(message) ? '; write the file with smaller row groups, or as CSV' : '';
  return new BadTable(`The table cannot be read: ${shown}${remedy}`, 'invalid_table', line === undefined ? null : Number(line));
}

/** Of CSV the reason stands behind the faulty line, which may be long, and before what would make DuckDB take it. */
function reasonIn(message: string): string {
  const lines = message.split('\n').filter((line) => line.trim() !== '');
  const fixes = lines.findIndex((line) => /^Possible (fixes|solution)/i.test(line));
  if (!CSV_ERROR.test(message) || fixes < 1) return lines.slice(0, 2).join(' ');
  return `${lines[0]}: ${lines[fixes - 1]}`;
}

import type { DuckDBConnection } from '@duckdb/node-api';
import { sqlText } from './duckdb';
import { DECIMAL_REMEDY, TIME_REMEDY } from './table-reader';

/** A column of a Parquet file. */
export interface ParquetColumn {
  name: string;
  /** Where DuckDB reads other values than the file has: what they are in the file, and what they can be cast to. */
  inexact: { type: string; remedy: string } | null;
}

const DECIMAL_DIGITS_MAX = 38;

type SchemaRow = [name: string, type: string | null, children: string | null, precision: string | null, logical: string | null];

/** The columns in the order of the file and by its own names: DuckDB calls the second of one name otherwise. */
export async function parquetColumns(connection: DuckDBConnection, path: string): Promise<ParquetColumn[]> {
  const sql = `SELECT name, type, num_children, precision, logical_type FROM parquet_schema(${sqlText(path)}) ORDER BY column_id`;
  const rows = (await connection.runAndReadAll(sql)).getRowsJson() as SchemaRow[];
  const columns: ParquetColumn[] = [];
  // The first is the root; below each stand its children, and theirs.
  for (let at = 1; at < rows.length; at = endOf(rows, at)) {
    const row = rows[at] as SchemaRow;
    columns.push({ name: row[0], inexact: inexactType(row) });
  }
  return columns;
}

/** Behind the row and all below it. */
function endOf(rows: readonly SchemaRow[], at: number): number {
  let end = at + 1;
  for (let open = childrenOf(rows[at]); open > 0 && end < rows.length; end++) open += childrenOf(rows[end]) - 1;
  return end;
}

const childrenOf = (row: SchemaRow | undefined): number => Number(row?.[2] ?? 0);

function inexactType([, type, , precision, logical]: SchemaRow): ParquetColumn['inexact'] {
  if (type === 'INT96') return { type: 'INT96, a timestamp of nanoseconds', remedy: TIME_REMEDY };
  if (Number(precision ?? 0) > DECIMAL_DIGITS_MAX) return { type: `decimal of ${precision} digits`, remedy: DECIMAL_REMEDY };
  if (logical?.includes('NANOS=NanoSeconds') !== true || !logical.includes('isAdjustedToUTC=1')) return null;
  return { type: 'timestamp of nanoseconds with a time zone', remedy: TIME_REMEDY };
}

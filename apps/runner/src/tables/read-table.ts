import { openArrowReader } from './arrow-reader';
import { openDuckDb } from './duckdb';
import { openDuckDbReader } from './duckdb-reader';
import { RequestLines, wantedColumns } from './request-lines';
import { writeAll } from './stream-io';
import { INPUT_FD, type ReadTask } from './table-task';
import type { TableReader } from './table-reader';
import { openTextReader, unpackedBytes } from './text-reader';
import type { TableColumn } from '@app/batches';

/** Opened anew, so that it has a position of its own; a name that no pattern of DuckDB can match. */
const INPUT = `/proc/self/fd/${INPUT_FD}`;

const MEMORY_MB = 96;

/** Writes the lines of a table to standard output. Resolves with the columns that they carry. Throws `BadTable`. */
export async function readTable(task: ReadTask): Promise<TableColumn[]> {
  if (task.format === 'jsonl') {
    for await (const bytes of unpackedBytes(INPUT, task.compression)) await writeAll(process.stdout, bytes);
    return [];
  }
  const reader = await openReader(task);
  const lines = new RequestLines(task);
  for await (const group of reader.groups()) await writeAll(process.stdout, lines.of(group));
  return reader.columns;
}

async function openReader(task: ReadTask): Promise<TableReader> {
  const { format, compression, rowBytesMax } = task;
  const wanted = wantedColumns(task);
  if (format === 'arrow') return openArrowReader(INPUT, wanted);
  if (format === 'csv' || format === 'parquet')
    return openDuckDbReader(await openDuckDb([INPUT], MEMORY_MB), { path: INPUT, format, compression, rowBytesMax }, wanted);
  return openTextReader(INPUT, compression, rowBytesMax, wanted);
}

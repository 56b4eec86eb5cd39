import type { BatchValidationError } from '@app/contracts';
import type { Compression, FileFormat, OutputFormat, TableColumn } from '@app/batches';
import type { EndpointKind } from '@app/protocols';

/** Where a child finds the file that it reads: its parent has opened and checked it. */
export const INPUT_FD = 4;
/** Where it finds the results of which it makes a table. */
export const RESULTS_FD = 0;

/** Makes lines of requests, on standard output, of the rows of a table. */
export interface ReadTask {
  kind: 'read';
  format: FileFormat;
  compression: Compression | null;
  /** Column by field of the request. */
  columns: Record<string, string>;
  idColumn: string | null;
  /** Columns that the lines carry for the output. */
  kept: string[];
  endpoint: EndpointKind;
  url: string;
  model: string | null;
  rowBytesMax: number;
}

/** Makes a table, on standard output, of rows and their results: see `table-rows.ts` for standard input. */
export interface WriteTask {
  kind: 'write';
  format: Exclude<OutputFormat, 'jsonl'>;
  id: TableColumn;
  /** What the rows carry beside their id. */
  kept: TableColumn[];
  endpoint: EndpointKind;
  /** The first line of the output; null: no row has one. */
  sample: string | null;
  /** A named pipe of this task alone. */
  tablePipe: string;
}

export type TableTask = ReadTask | WriteTask;

/** How a child ends that did not crash. */
export type TableVerdict = { columns: TableColumn[] } | { fault: TableFault } | { trouble: string };

export type TableFault = Omit<BatchValidationError, 'param'>;

/** What is wrong with a table, for who made it. */
export class BadTable extends Error {
  override readonly name = 'BadTable';

  constructor(
    message: string,
    readonly code: 'invalid_table' | 'unknown_column' | 'invalid_column' = 'invalid_table',
    readonly line: number | null = null,
  ) {
    super(message);
  }
}

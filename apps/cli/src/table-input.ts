import { createReadStream } from 'node:fs';
import { access, constants, open, stat } from 'node:fs/promises';
import type { Readable } from 'node:stream';
import { binaryKind, formatOfName, HEAD_BYTES, type BinaryKind, type FileFormat, type OutputFormat } from '@app/batches';
import { CliError } from './cli-error';

export interface TableOptions {
  column?: string;
  pairColumn?: string;
  id?: string;
  keep?: string;
  model?: string;
  endpoint?: string;
  output?: string;
}

/** What a table is submitted as, beside its bytes. */
export interface TableSubmission {
  /** Null: the server reads it. */
  content: Readable | null;
  request: { endpoint: string; input: object; model?: string; output: { format: OutputFormat; columns?: string[] } };
}

const OUTPUTS: Readonly<Record<string, OutputFormat>> = { parquet: 'parquet', csv: 'csv' };

/** The format of an output by the end of its name. */
export function outputFormat(path: string | undefined): OutputFormat {
  return OUTPUTS[/\.([a-z]+)$/i.exec(path ?? '')?.[1]?.toLowerCase() ?? ''] ?? 'jsonl';
}

const isUri = (path: string): boolean => /^(s3|file):\/\//.test(path);

/**
 * Whether the server is to make the rows of it: a URI, a table, packed lines, and whatever a column is named of. Throws `CliError` for a
 * file that cannot be read.
 */
export async function isTable(path: string, options: TableOptions): Promise<boolean> {
  if (isUri(path)) return true;
  await checkReadable(path);
  if (options.column !== undefined) return true; // it may be a pipe, of which nothing is to be taken here
  const binary = await firstBytes(path);
  return binary !== null || ['csv', 'parquet', 'arrow'].includes(formatOfName(path));
}

/** Throws `CliError` for options that are missing. */
export function submissionOf(path: string, options: TableOptions): TableSubmission {
  const { column, pairColumn, id, keep, model } = options;
  const format = formatOfName(path);
  const content = isUri(path) ? null : createReadStream(path);
  const uri = isUri(path) ? { uri: path } : {};
  const columns = keep === undefined ? {} : { columns: keep.split(',') };
  const output = { format: outputFormat(options.output), ...columns };
  const endpoint = options.endpoint ?? (model === undefined ? undefined : `/v1/models/${model}:predict`);
  if (endpoint === undefined) throw new CliError(`${path}: name the model with --model, or the endpoint with --endpoint`);
  if (format === 'jsonl') return { content, request: { endpoint, input: uri, output } };
  return {
    content,
    request: {
      endpoint,
      input: {
        ...uri,
        format,
        columns: columnsOf(endpoint, format, { column: column ?? (format === 'text' ? 'text' : undefined), pairColumn }),
        ...(id === undefined ? {} : { id_column: id }),
      },
      ...(model === undefined || endpoint.includes('/models/') ? {} : { model }),
      output,
    },
  };
}

function columnsOf(
  endpoint: string,
  format: FileFormat,
  { column, pairColumn }: { column: string | undefined; pairColumn: string | undefined },
): Record<string, string> {
  if (column === undefined) throw new CliError(`a file of ${format} needs --column, the column with the texts`);
  const pair = (field: string): Record<string, string> => (pairColumn === undefined ? {} : { [field]: pairColumn });
  if (endpoint.endsWith('/rerank')) return { query: column, ...pair('documents') };
  return endpoint.endsWith(':predict') ? { text: column, ...pair('text_pair') } : { input: column };
}

async function checkReadable(path: string): Promise<void> {
  try {
    await access(path, constants.R_OK);
    if ((await stat(path)).isDirectory()) throw new Error('it is a directory, and a file is expected');
  } catch (error) {
    throw new CliError(`${path} cannot be read: ${(error as Error).message}`);
  }
}

async function firstBytes(path: string): Promise<BinaryKind | null> {
  const file = await open(path);
  try {
    const { buffer, bytesRead } = await file.read({ buffer: Buffer.alloc(HEAD_BYTES) });
    return binaryKind(buffer.subarray(0, bytesRead));
  } finally {
    await file.close();
  }
}

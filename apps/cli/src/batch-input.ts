import { isUtf8 } from 'node:buffer';
import { open, stat } from 'node:fs/promises';
import { Readable } from 'node:stream';
import { jsonLine } from '@app/protocols';
import { isUtf16, UTF16_REMEDY, UTF8_REMEDY, LOCAL_FILES, type RowLine, readRows } from '@app/batches';
import { CliError } from './cli-error';

const FIRST_LINE_BYTES_MAX = 4 * 1024 * 1024;
/** Longest line of a text file; longer ones are refused before they fill the memory. */
const LINE_BYTES_MAX = 64 * 1024 * 1024;
/** Endpoints that take a line of text as `input`, with the model beside it. */
const INPUT_ENDPOINTS = ['/v1/embeddings', '/v1/classify', '/v1/tokenize'];

/** A batch file as the server wants it. */
export interface BatchInput {
  /** JSON Lines; null: the file as it is. */
  content: Readable | null;
  endpoint: string;
  kind: 'jsonl' | 'text';
}

/**
 * Opens a batch file. JSON Lines (the first line is an object with `custom_id`) go as they are; of any other file each
 * line that is not blank becomes one row, `custom_id` being `line-<number>`. Lines end at LF or CRLF. Nothing is held in
 * memory but a line. Rejects with a `CliError` for text that is not UTF-8, naming the line, before anything is sent.
 */
export async function openBatchInput(path: string, options: { model?: string; endpoint?: string }): Promise<BatchInput> {
  const first = await firstLine(path);
  const row = parseRow(first);
  if (row) {
    const endpoint = options.endpoint ?? (options.model ? predictEndpoint(options.model) : row.url);
    if (!endpoint) throw new CliError(`${path}: the first line has no url; name the endpoint with --endpoint`);
    return { content: null, endpoint, kind: 'jsonl' };
  }
  const endpoint = options.endpoint ?? (options.model ? predictEndpoint(options.model) : undefined);
  if (!endpoint) throw new CliError(`${path} is a text file; name the model with --model`);
  const bodyOf = textBody(endpoint, options.model);
  for await (const line of textLines(path)) checkText(path, line);
  return { content: Readable.from(textRows(path, endpoint, bodyOf), { objectMode: false }), endpoint, kind: 'text' };
}

function predictEndpoint(model: string): string {
  return `/v1/models/${model}:predict`;
}

function textBody(endpoint: string, model: string | undefined): (text: string) => object {
  if (INPUT_ENDPOINTS.includes(endpoint)) {
    if (!model) throw new CliError(`${endpoint} needs --model`);
    return (text) => ({ model, input: text });
  }
  if (endpoint.endsWith(':predict')) return (text) => ({ instances: [text] });
  throw new CliError(
    `lines of text can go to ${INPUT_ENDPOINTS.join(', ')} or a :predict endpoint, not to ${endpoint}; write JSON Lines for it`,
  );
}

async function* textRows(path: string, endpoint: string, bodyOf: (text: string) => object): AsyncGenerator<string> {
  for await (const { line, bytes } of textLines(path)) {
    const text = bytes.toString('utf8').replace(/\r$/, '');
    if (text.trim() !== '') yield `${jsonLine({ custom_id: `line-${line}`, method: 'POST', url: endpoint, body: bodyOf(text) })}\n`;
  }
}

async function* textLines(path: string): AsyncGenerator<RowLine> {
  const { size } = await stat(path);
  for await (const rows of readRows(LOCAL_FILES, path, { offset: 0, end: size, firstRow: 0, firstLine: 1 }, LINE_BYTES_MAX)) yield* rows;
}

function checkText(path: string, { line, bytes }: RowLine): void {
  if (!isUtf8(bytes)) throw new CliError(`${path}: line ${line} is not valid UTF-8; ${UTF8_REMEDY}`);
  if (bytes.includes(0)) throw new CliError(`${path}: line ${line} has a zero byte, as UTF-16 and binary files do; ${UTF16_REMEDY}`);
}

function parseRow(line: string): { url?: string } | null {
  try {
    const row = JSON.parse(line) as { custom_id?: unknown; url?: unknown } | null;
    if (row === null || typeof row !== 'object' || !('custom_id' in row)) return null;
    return typeof row.url === 'string' ? { url: row.url } : {};
  } catch {
    return null;
  }
}

/** The first line that is not blank. */
async function firstLine(path: string): Promise<string> {
  const file = await open(path).catch((error: Error) => {
    throw new CliError(`${path} cannot be read: ${error.message}`);
  });
  try {
    const { buffer, bytesRead } = await file.read({ buffer: Buffer.alloc(FIRST_LINE_BYTES_MAX) });
    if (isUtf16(buffer.subarray(0, bytesRead))) throw new CliError(`${path} is UTF-16; ${UTF16_REMEDY}`);
    const line = buffer
      .toString('utf8', 0, bytesRead)
      .replace(/^\uFEFF/, '')
      .split('\n')
      .find((text) => text.trim() !== '');
    if (line === undefined) throw new CliError(`${path} is empty`);
    return line;
  } finally {
    await file.close();
  }
}

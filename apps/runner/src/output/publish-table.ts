import { execFile } from 'node:child_process';
import { mkdtemp, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { promisify } from 'node:util';
import { ID_COLUMN, type ChunkResult, type ChunkResults, type MakeTable, type Manifest, type OutputFormat } from '@app/batches';
import type { BatchInput } from '../intake/batch-input';
import type { RunnerContext } from '../runner-context';
import { TableProcess } from '../tables/table-process';
import type { ChunkHeader } from '../tables/table-rows';
import type { WriteTask } from '../tables/table-task';

const NEWLINE = Buffer.from('\n');

interface TableParts {
  manifest: Manifest;
  input: BatchInput;
  /** Rows without a line in either part are left out. */
  resultOf: (index: number) => Omit<ChunkResult, 'failures'>;
}

/** The format of a batch's output, where that is no JSON Lines. */
export function tableFormat({ output }: Manifest): Exclude<OutputFormat, 'jsonl'> | null {
  return output === undefined || output.format === 'jsonl' ? null : output.format;
}

/**
 * Makes an output that is a table: one row for each row of the input that has a line, in order. Durable when it resolves; done again,
 * after a kill or by another node, it gives the same.
 */
export function tableMaker(context: RunnerContext, manifest: Manifest, input: BatchInput, format: WriteTask['format']): MakeTable {
  return async (resultOf) => ({ format, bytes: await writeOutputTable(context, { manifest, input, resultOf }, format) });
}

async function writeOutputTable(context: RunnerContext, parts: TableParts, format: WriteTask['format']): Promise<number> {
  const { store, files } = context;
  const key = files.contentKey(parts.manifest.outputFileId);
  if ((await store.head(key)) === null) {
    const folder = await mkdtemp(join(context.tables.scratchDir, 'output-'));
    try {
      await writeContent(context, parts, { format, folder, key });
    } finally {
      await rm(folder, { recursive: true, force: true });
    }
  }
  const facts = await store.head(key);
  if (facts === null) throw new Error(`the output table of ${parts.manifest.batch.id} was removed while it was made`);
  return facts.byteCount;
}

async function writeContent(
  context: RunnerContext,
  parts: TableParts,
  { format, folder, key }: { format: WriteTask['format']; folder: string; key: string },
): Promise<void> {
  const { store, batches, tables } = context;
  const { manifest, input } = parts;
  const tablePipe = join(folder, 'table');
  await promisify(execFile)('mkfifo', ['-m', '600', tablePipe]);
  const results = batches.results(manifest.batch.id);
  const task: WriteTask = {
    kind: 'write',
    format,
    ...columnsOf(manifest, input),
    endpoint: input.endpoint.kind,
    sample: await firstOutput(parts, results),
    tablePipe,
  };
  const stop = new AbortController();
  const process = new TableProcess(tables.childArgs, task, null, stop.signal);
  const content = await store.openWriter(key);
  try {
    let unread: unknown = null;
    const given = remembering(frames(context, parts, results), (error) => (unread = error));
    const sent = pipeline(Readable.from(given, { objectMode: false }), process.stdin);
    sent.catch(() => undefined); // awaited below
    for await (const part of process.stdout) {
      if (context.isStopping()) throw new Error('the runner ends');
      await content.append(part as Buffer);
    }
    // Where the results could not be read, a table that ends too early is no fault of the table.
    await process.columns().catch((error: unknown) => Promise.reject((unread ?? error) as Error));
    await sent;
    await content.commitIfAbsent();
  } finally {
    stop.abort();
    await content.discard();
  }
}

function columnsOf({ input: table }: Manifest, { columns }: BatchInput): Pick<WriteTask, 'id' | 'kept'> {
  const id = (table?.idColumn ?? null) === null ? undefined : columns[0];
  return id === undefined ? { id: { name: ID_COLUMN, type: 'VARCHAR' }, kept: columns } : { id, kept: columns.slice(1) };
}

async function* remembering<T>(items: AsyncIterable<T>, onFailed: (error: unknown) => void): AsyncGenerator<T, void, void> {
  try {
    yield* items;
  } catch (error) {
    onFailed(error);
    throw error;
  }
}

/** As `ChunkHeader` says. */
async function* frames(
  { store }: RunnerContext,
  { input, resultOf }: TableParts,
  results: ChunkResults,
): AsyncGenerator<Uint8Array, void, void> {
  for (let index = 0; index < input.table.chunkCount; index++) {
    const refusal = await store.refusal(0);
    if (refusal !== null) throw new Error(refusal);
    const chunk = input.table.chunk(index);
    const result = resultOf(index);
    if (result.completed + result.failed === 0) continue; // it never ran
    const header: ChunkHeader = { firstRow: chunk.firstRow, errors: result.failed, rows: chunk.rowCount, outputs: result.completed };
    yield Buffer.from(`${JSON.stringify(header)}\n`);
    yield* results.read(result, 'error');
    yield* store.read(input.contentKey, { start: chunk.offset, end: chunk.end });
    yield NEWLINE; // the last line of a file may have none
    yield* results.read(result, 'output');
  }
}

/** The first line of the output; null: it has none. */
async function firstOutput({ input, resultOf }: TableParts, results: ChunkResults): Promise<string | null> {
  for (let index = 0; index < input.table.chunkCount; index++) {
    const result = resultOf(index);
    if (result.completed === 0) continue;
    const parts: Buffer[] = [];
    for await (const part of results.read(result, 'output')) {
      parts.push(part);
      if (part.includes(NEWLINE)) break;
    }
    return Buffer.concat(parts).toString('utf8').split('\n', 1)[0] ?? null;
  }
  return null;
}

import { execFile } from 'node:child_process';
import { createReadStream, createWriteStream, mkdirSync, mkdtempSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { setTimeout as sleep } from 'node:timers/promises';
import { promisify } from 'node:util';
import { DuckDBInstance, type DuckDBConnection } from '@duckdb/node-api';
import type { BatchObject, FileObject } from '@app/contracts';
import { Stack } from '../../../test/support/stack';
import { calibratedTable } from '../../support/server-batch';

/**
 * The same rows from Parquet to Parquet: a batch of a node, from the first byte of the upload to the last one of the download, against
 * `baseline.py`, one after the other on one machine. The node has measured its costs, and the script has loaded its model. ROWS (default a million) and PYTHON (with the packages of `baseline.py`) are of the
 * environment.
 */
const MODEL = 'encoder-tiny';
const WORKER = 'default-batch';
const WORDS = ['the', 'service', 'was', 'slow', 'but', 'friendly', 'and', 'we', 'would', 'come', 'back', 'again', 'with', 'more', 'time'];
const LOOK_MS = 200;
/** Vectors are those of another order of additions. */
const DIFFERENCE_MAX = 1e-4;

async function main(): Promise<void> {
  const [rows, python] = [Number(process.env['ROWS'] ?? 1_000_000), process.env['PYTHON'] ?? 'python3'];
  const folder = mkdtempSync(join(tmpdir(), 'il-tables-'));
  const stack = await Stack.start({ models: [MODEL] });
  try {
    await calibratedTable(stack, WORKER);
    const [input, ours, theirs] = ['input', 'ours', 'theirs'].map((name) => join(folder, `${name}.parquet`)) as [string, string, string];
    const duckDb = await (await DuckDBInstance.create(':memory:')).connect();
    await writeTexts(duckDb, input, rows);
    const seconds = await runBatch(stack, input, ours);
    await stack.stop();
    const script = join(process.cwd(), 'bench/batch/parquet/baseline.py');
    const { stdout } = await promisify(execFile)(python, [script, join(process.cwd(), 'models', MODEL), input, theirs]);
    const baselineSeconds = Number(stdout);
    const difference = await largestDifference(duckDb, ours, theirs, rows);
    if (!(difference <= DIFFERENCE_MAX)) throw new Error(`the two outputs differ by ${difference}`);
    report({ rows, seconds, baselineSeconds, times: baselineSeconds / seconds, difference, outputBytes: statSync(ours).size });
  } finally {
    await stack.stop();
    rmSync(folder, { recursive: true, force: true });
  }
}

/** Texts of 3 to 14 words, the same each time. */
async function writeTexts(duckDb: DuckDBConnection, path: string, rows: number): Promise<void> {
  const words = `[${WORDS.map((word) => `'${word}'`).join(', ')}]`;
  await duckDb.run(`COPY (SELECT i AS id, list_aggregate(
      list_transform(range(3 + (hash(i) % 12)::INTEGER), lambda k: ${words}[1 + (hash(i * 31 + k) % ${WORDS.length})::INTEGER]), 'string_agg', ' ')
      || ' ' || i AS text FROM range(${rows}) t(i)) TO '${path}' (FORMAT parquet)`);
}

/** Seconds from the begin of the upload to the end of the download. */
async function runBatch({ url }: Stack, input: string, output: string): Promise<number> {
  const startMs = performance.now();
  const file = await answer<FileObject>(
    fetch(`${url}/v1/files?purpose=batch&filename=input.parquet`, {
      method: 'POST',
      headers: { 'content-type': 'application/octet-stream' },
      body: Readable.toWeb(createReadStream(input)) as ReadableStream,
      duplex: 'half',
    } as RequestInit),
  );
  const request = {
    input_file_id: file.id,
    endpoint: '/v1/embeddings',
    model: MODEL,
    completion_window: '24h',
    input: { columns: { input: 'text' }, id_column: 'id' },
    output: { format: 'parquet' },
  };
  const headers = { 'content-type': 'application/json' };
  let batch = await answer<BatchObject>(fetch(`${url}/v1/batches`, { method: 'POST', headers, body: JSON.stringify(request) }));
  while (batch.output_file_id === null) {
    if (batch.status === 'failed') throw new Error(JSON.stringify(batch.errors));
    await sleep(LOOK_MS);
    batch = await answer<BatchObject>(fetch(`${url}/v1/batches/${batch.id}`));
  }
  const { body } = await fetch(`${url}/v1/files/${batch.output_file_id}/content`);
  await pipeline(Readable.fromWeb(body as Parameters<typeof Readable.fromWeb>[0]), createWriteStream(output));
  return (performance.now() - startMs) / 1000;
}

async function answer<T>(request: Promise<Response>): Promise<T> {
  const response = await request;
  if (!response.ok) throw new Error(`status ${response.status}: ${await response.text()}`);
  return (await response.json()) as T;
}

/** Of two numbers of the same row; throws when a row is missing in one of the two. */
async function largestDifference(duckDb: DuckDBConnection, ours: string, theirs: string, rows: number): Promise<number> {
  const sql = `SELECT count(*), max(list_max(list_transform(list_zip(a.embedding, b.embedding), lambda pair: abs(pair[1] - pair[2]))))
    FROM '${ours}' a JOIN '${theirs}' b USING (id)`;
  const [[joined, difference] = []] = (await duckDb.runAndReadAll(sql)).getRowsJson();
  if (Number(joined) !== rows) throw new Error(`expected ${rows} rows in both outputs but ${String(joined)} are`);
  return Number(difference);
}

function report(result: Record<string, number>): void {
  console.log(JSON.stringify(result, null, 2));
  mkdirSync('bench/results', { recursive: true });
  writeFileSync('bench/results/batch-parquet.json', `${JSON.stringify(result, null, 2)}\n`);
}

void main();

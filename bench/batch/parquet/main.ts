import { execFile } from 'node:child_process';
import { createReadStream, createWriteStream, mkdirSync, mkdtempSync, readdirSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { setTimeout as sleep } from 'node:timers/promises';
import { promisify } from 'node:util';
import { DuckDBInstance, type DuckDBConnection } from '@duckdb/node-api';
import type { BatchObject, FileObject } from '@app/contracts';
import { Stack } from '../../../test/support/stack';
import { NodeCpu } from '../../support/process-cpu';
import { calibratedTable, runSeconds } from '../../support/server-batch';

/**
 * The same rows from Parquet to Parquet: a batch of a node, from the first byte of the upload to the last one of the download, against
 * `baseline.py`, one after the other on one machine. The node has measured its costs, and the script has loaded its model. CPU time of
 * each process of the node, and the bytes that the batch has on the disk at most. ROWS (default a million) and PYTHON (with the
 * packages of `baseline.py`) are of the environment; PYTHON= leaves the script out.
 */
const MODEL = 'encoder-tiny';
const WORKER = 'default-batch';
const WORDS = ['the', 'service', 'was', 'slow', 'but', 'friendly', 'and', 'we', 'would', 'come', 'back', 'again', 'with', 'more', 'time'];
const LOOK_MS = 200;
/** Between two looks at the disk, which take a while; most is there while the table is written, so then it is looked at each time. */
const DISK_LOOK_MS = 1000;
/** Of `stat`, whatever the file system. */
const BLOCK_BYTES = 512;
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
    const ran = await runBatch(stack, input, ours, rows);
    await stack.stop();
    const bytes = { input: statSync(input).size, output: statSync(ours).size };
    const diskTimes = ran.diskBytesMax / (bytes.input + bytes.output);
    if (python === '') return report({ rows, ...ran, bytes, diskTimes });
    const script = join(process.cwd(), 'bench/batch/parquet/baseline.py');
    const { stdout } = await promisify(execFile)(python, [script, join(process.cwd(), 'models', MODEL), input, theirs]);
    const [baselineSeconds = NaN, baselineCpuSeconds = NaN] = stdout.split(' ').map(Number);
    const difference = await largestDifference(duckDb, ours, theirs, rows);
    if (!(difference <= DIFFERENCE_MAX)) throw new Error(`the two outputs differ by ${difference}`);
    const baseline = { seconds: baselineSeconds, cpuUs: (baselineCpuSeconds * 1e6) / rows };
    report({ rows, ...ran, bytes, diskTimes, baseline, times: baselineSeconds / ran.seconds, difference });
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

/** From the begin of the upload to the end of the download. */
async function runBatch(stack: Stack, input: string, output: string, rows: number) {
  const { url, dir } = stack;
  const [cpu, data] = [await NodeCpu.of(stack), join(dir, 'data')];
  const [cpuBefore, runsBefore, diskBefore, startMs] = [cpu.now(), await runSeconds(stack, WORKER), bytesBelow(data), performance.now()];
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
  const statusSeconds: Record<string, number> = {};
  let diskBytesMax = 0;
  for (let [lookedMs, diskMs] = [startMs, startMs]; batch.output_file_id === null;) {
    if (batch.status === 'failed') throw new Error(JSON.stringify(batch.errors));
    await sleep(LOOK_MS);
    const nowMs = performance.now();
    if (batch.status === 'finalizing' || nowMs - diskMs > DISK_LOOK_MS) {
      diskBytesMax = Math.max(diskBytesMax, bytesBelow(data) - diskBefore);
      diskMs = nowMs;
    }
    statusSeconds[batch.status] = (statusSeconds[batch.status] ?? 0) + (nowMs - lookedMs) / 1000;
    lookedMs = nowMs;
    batch = await answer<BatchObject>(fetch(`${url}/v1/batches/${batch.id}`));
  }
  const { body } = await fetch(`${url}/v1/files/${batch.output_file_id}/content`);
  await pipeline(Readable.fromWeb(body as Parameters<typeof Readable.fromWeb>[0]), createWriteStream(output));
  const seconds = (performance.now() - startMs) / 1000;
  const [cpuAfter, runsAfter] = [cpu.now(), await runSeconds(stack, WORKER)];
  const cpuUs = Object.fromEntries(Object.entries(cpuAfter).map(([id, ms]) => [id, ((ms - (cpuBefore[id] ?? 0)) * 1000) / rows]));
  return { seconds, statusSeconds, cpuUs, runsUs: ((runsAfter - runsBefore) * 1e6) / rows, diskBytesMax };
}

/** On the disk, of all files below a folder, some of which may go meanwhile. */
function bytesBelow(folder: string): number {
  return readdirSync(folder, { recursive: true, encoding: 'utf8' }).reduce(
    (sum, name) => sum + (statSync(join(folder, name), { throwIfNoEntry: false })?.blocks ?? 0) * BLOCK_BYTES,
    0,
  );
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

function report(result: object): void {
  console.log(JSON.stringify(result, null, 2));
  mkdirSync('bench/results', { recursive: true });
  writeFileSync('bench/results/batch-parquet.json', `${JSON.stringify(result, null, 2)}\n`);
}

void main();

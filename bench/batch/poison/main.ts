import { mkdirSync, writeFileSync } from 'node:fs';
import { cpus } from 'node:os';
import { join } from 'node:path';
import { embed, startLiveLoad } from '../../../test/support/live-load';
import { fileLines } from '../../../test/support/batch-job';
import { Stack } from '../../../test/support/stack';
import { untilDone } from '../../fleet/deterministic-batch';
import { quantile } from '../../support/statistics';

/**
 * Rows that kill, hang or bloat their worker, among good ones: exactly they may fail, live callers of another model may not
 * notice, and the batch may take at most twice as long as without them. `ROWS`, default 20 000.
 */
const ROWS = Number(process.env['ROWS'] ?? 20_000);
const POISON = 5;
const LIVE_MODEL = 'encoder-tiny';
/** A negative value divides by what kills, counts for ever, or allocates for ever. */
const MODELS = ['crash', 'endless', 'hoard'];
const BATCH_MS_MAX = 30 * 60_000;

interface Figures {
  model: string;
  rows: number;
  poison: number;
  failed: number;
  /** The error file has the poison rows and nothing else. */
  isExact: boolean;
  secondsWithout: number;
  secondsWith: number;
  ratio: number;
  liveFailed: number;
  liveAnswered: number;
  liveP99MsWithout: number;
  liveP99MsWith: number;
  reasons: string[];
}

async function main(): Promise<void> {
  const models = process.argv.slice(2);
  const figures: Figures[] = [];
  for (const model of models.length > 0 ? models : MODELS) figures.push(await measure(model));
  console.table(figures.map(({ reasons: _, ...row }) => row));
  for (const { model, reasons } of figures) console.log(model, reasons);
  mkdirSync(join('bench', 'results'), { recursive: true });
  const conditions = { cpu: cpus()[0]?.model, cpus: cpus().length };
  writeFileSync(join('bench', 'results', 'batch-poison.json'), `${JSON.stringify({ ...conditions, figures }, null, 2)}\n`);
}

async function measure(model: string): Promise<Figures> {
  const stack = await Stack.start({ models: [model, LIVE_MODEL] });
  try {
    const without = await runRows(stack, model, new Set());
    const poison = new Set(Array.from({ length: POISON }, (_, index) => Math.floor(((index + 1) * ROWS) / (POISON + 1))));
    const mixed = await runRows(stack, model, poison);
    const failed = mixed.errors.map(({ custom_id: id }) => id).sort();
    const expected = [...poison].map((row) => `row-${row}`).sort();
    return {
      model,
      rows: ROWS,
      poison: POISON,
      failed: failed.length,
      isExact: JSON.stringify(failed) === JSON.stringify(expected) && mixed.completed === ROWS - POISON && without.completed === ROWS,
      secondsWithout: without.seconds,
      secondsWith: mixed.seconds,
      ratio: mixed.seconds / without.seconds,
      liveFailed: without.live.failures.length + mixed.live.failures.length,
      liveAnswered: without.live.answered + mixed.live.answered,
      liveP99MsWithout: quantile(without.live.latenciesMs, 0.99),
      liveP99MsWith: quantile(mixed.live.latenciesMs, 0.99),
      reasons: [...new Set(mixed.errors.map(({ error }) => `${error?.code}: ${error?.message}`))],
    };
  } finally {
    await stack.stop();
  }
}

async function runRows(stack: Stack, model: string, poison: ReadonlySet<number>) {
  const load = startLiveLoad({ concurrency: 2, send: (sequence) => embed(stack.url, LIVE_MODEL, `text ${sequence % 1000}`) });
  try {
    const began = performance.now();
    const id = await submit(stack, model, poison);
    const view = await untilDone([stack], id, { share: 1, timeoutMs: BATCH_MS_MAX });
    const seconds = (performance.now() - began) / 1000;
    return { seconds, completed: view.request_counts.completed, errors: await fileLines(stack, view.error_file_id), live: load.report };
  } finally {
    await load.stop();
  }
}

/** All poison differs, else its rows would share one run; only the division by -1 is fatal. */
function valueOf(model: string, row: number, isPoison: boolean): number {
  if (isPoison) return model === 'crash' ? -1 : -1 - row;
  return model === 'hoard' ? row : (row % 50) + 1;
}

async function submit(stack: Stack, model: string, poison: ReadonlySet<number>): Promise<string> {
  const url = `/v2/models/${model}/infer`;
  let lines = '';
  for (let row = 0; row < ROWS; row++) {
    const value = valueOf(model, row, poison.has(row));
    const body = { inputs: [{ name: 'value', shape: [1], datatype: 'INT64', data: [value] }] };
    lines += `${JSON.stringify({ custom_id: `row-${row}`, method: 'POST', url, body })}\n`;
  }
  const upload = await fetch(`${stack.url}/v1/files?purpose=batch`, {
    method: 'POST',
    headers: { 'content-type': 'application/x-ndjson' },
    body: lines,
  });
  const { id: fileId } = (await upload.json()) as { id: string };
  const batch = await fetch(`${stack.url}/v1/batches`, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify({ input_file_id: fileId, endpoint: url, completion_window: '24h' }),
  });
  if (!batch.ok) throw new Error(`${batch.status} ${await batch.text()}`);
  return ((await batch.json()) as { id: string }).id;
}

main().catch((error: unknown) => {
  console.error(error);
  process.exitCode = 1;
});

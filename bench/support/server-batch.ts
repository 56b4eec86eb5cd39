import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import type { BatchStatus, CostGrid, WorkerProcessStatus } from '@app/contracts';
import { BatchStore, isTerminal, LocalStore } from '@app/batches';
import { fetchMetrics, fetchStatus, type MetricsJson } from '@app/process';
import { submitEmbeddings } from '../../test/support/batch-job';
import { until, type Stack } from '../../test/support/stack';

const CALIBRATED_MS_MAX = 600_000;
const BATCH_MS_MAX = 600_000;
/** Between two looks at the manifest. A look takes half a millisecond of CPU time, which the batch does not get. */
const LOOK_MS = 100;

export interface BatchTimes {
  /** From the upload's begin until the batch is validated. */
  beforeSeconds: number;
  /** From `in_progress` to `finalizing`: every row read, run, answered and on the disk. */
  runSeconds: number;
  /** Putting the output file together. */
  afterSeconds: number;
}

export interface TokenCounts {
  real: number;
  padding: number;
}

/** Waits until the worker has measured what runs of its first model cost. */
export async function calibratedTable(stack: Stack, worker: string): Promise<CostGrid> {
  const status = (): Promise<WorkerProcessStatus> => fetchStatus('worker', join(stack.runDir, `${worker}.status.sock`), 5000);
  const isMeasured = async () => (await status()).calibration[0]?.state === 'measured';
  await until(isMeasured, CALIBRATED_MS_MAX, () => `not calibrated:\n${stack.log().slice(-4000)}`);
  const grid = (await status()).models[0]?.cost?.grid;
  if (!grid) throw new Error('the worker has measured its model but reports no costs');
  return grid;
}

/** Runs rows of token ids through the batch lane. Throws when one of them is not answered. */
export async function runBatch(stack: Stack, model: string, rows: number[][]): Promise<BatchTimes> {
  const store = new BatchStore(new LocalStore(join(stack.dir, 'data')));
  const seenMs = new Map<BatchStatus, number>();
  const startMs = performance.now();
  const id = await submitEmbeddings(stack, model, rows);
  for (;;) {
    const manifest = await store.read(id);
    const status = manifest?.batch.status ?? 'validating';
    if (!seenMs.has(status)) seenMs.set(status, performance.now());
    if (status === 'completed' && manifest?.batch.request_counts.completed === rows.length) break;
    if (isTerminal(status) || performance.now() - startMs > BATCH_MS_MAX)
      throw new Error(`batch ${status}: ${JSON.stringify(manifest)}\n${stack.log().slice(-4000)}`);
    await sleep(LOOK_MS);
  }
  const at = (status: BatchStatus): number => seenMs.get(status) ?? seenMs.get('completed') ?? NaN;
  return {
    beforeSeconds: (at('in_progress') - startMs) / 1000,
    runSeconds: (at('finalizing') - at('in_progress')) / 1000,
    afterSeconds: (at('completed') - at('finalizing')) / 1000,
  };
}

/** Time of a worker's executors in runs since its start. */
export async function runSeconds(stack: Stack, worker: string): Promise<number> {
  const metrics = await fetchMetrics(join(stack.runDir, `${worker}.status.sock`), 5000);
  const values = metrics.find(({ name }) => name === 'interleave_run_seconds_total')?.values ?? [];
  return values.reduce((sum, { value }) => sum + value, 0);
}

/** Tokens that the lane's runs were made of since its start. */
export async function tokenCounts(stack: Stack, worker: string): Promise<TokenCounts> {
  const of = (values: MetricsJson[number]['values'], kind: string): number =>
    values.filter(({ labels }) => labels['kind'] === kind).reduce((sum, { value }) => sum + value, 0);
  const metrics = await fetchMetrics(join(stack.runDir, `${worker}.status.sock`), 5000);
  const values = metrics.find(({ name }) => name === 'interleave_tokens_total')?.values ?? [];
  return { real: of(values, 'real'), padding: of(values, 'padded') };
}

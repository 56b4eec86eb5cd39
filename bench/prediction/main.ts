import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fetchMetrics } from '@app/process';
import { openaiClient, submitEmbeddings } from '../../test/support/batch-job';
import { Stack, until } from '../../test/support/stack';
import { SeededRandom } from '../../test/support/tensors';
import { LENGTH_MIXES } from '../support/lengths';

/**
 * How well the measured cost table predicts: rows of three length mixes through the batch lane of a running server, and
 * of its runs the median of |measured ÷ predicted − 1|, read off the worker's histogram.
 */
const MODEL = 'encoder-small';
const ROWS = 400;
const SEED = 7;
const WORKER = 'default-batch';
const GOAL = 0.1;
const CALIBRATED_MS_MAX = 600_000;
const BATCH_MS_MAX = 300_000;

interface Mix {
  name: string;
  runs: number;
  /** Median of |measured ÷ predicted − 1|. */
  errorMedian: number;
  within10Percent: number;
  meanRatio: number;
}

async function main(): Promise<void> {
  const stack = await Stack.start({ models: [MODEL] });
  try {
    const calibratedMs = await untilCalibrated(stack);
    console.log(`${MODEL}: costs measured ${(calibratedMs / 1000).toFixed(1)} s after the start; ${ROWS} rows each, seed ${SEED}`);
    const mixes: Mix[] = [];
    for (const name of Object.keys(LENGTH_MIXES)) mixes.push(await runMix(stack, name));
    console.table(mixes);
    console.log(`goal: error at most ${GOAL}`);
    const outDir = join(process.cwd(), 'bench', 'results');
    mkdirSync(outDir, { recursive: true });
    writeFileSync(
      join(outDir, 'prediction.json'),
      `${JSON.stringify({ model: MODEL, rows: ROWS, seed: SEED, calibratedMs, mixes }, null, 2)}\n`,
    );
  } finally {
    await stack.stop();
  }
}

async function untilCalibrated(stack: Stack): Promise<number> {
  const startMs = performance.now();
  const isMeasured = async () => (await seriesOf(stack, 'interleave_calibration_state', { state: 'measured' }))[0]?.value === 1;
  await until(isMeasured, CALIBRATED_MS_MAX, () => `not calibrated:\n${stack.log().slice(-4000)}`);
  return performance.now() - startMs;
}

async function runMix(stack: Stack, name: string): Promise<Mix> {
  const random = new SeededRandom(SEED);
  const lengthOf = LENGTH_MIXES[name] ?? (() => 1);
  const rows = Array.from({ length: ROWS }, () => Array.from({ length: lengthOf(random) }, () => random.integer(1000, 30_000)));
  const before = await ratios(stack);
  const id = await submitEmbeddings(stack, MODEL, rows);
  const client = openaiClient(stack);
  await until(
    async () => (await client.batches.retrieve(id)).status === 'completed',
    BATCH_MS_MAX,
    () => `batch not completed:\n${stack.log().slice(-4000)}`,
  );
  const after = await ratios(stack);
  const counts = after.buckets.map(({ le, count }, i) => ({ le, count: count - (before.buckets[i]?.count ?? 0) }));
  const runs = counts.at(-1)?.count ?? 0;
  const shareWithin = (error: number): number => (countBelow(counts, 1 + error) - countBelow(counts, 1 - error)) / runs;
  let errorMedian = 0;
  while (shareWithin(errorMedian) < 0.5 && errorMedian < 1) errorMedian += 0.001;
  return {
    name,
    runs,
    errorMedian: round(errorMedian),
    within10Percent: round(shareWithin(0.1)),
    meanRatio: round((after.sum - before.sum) / runs),
  };
}

interface Ratios {
  buckets: { le: number; count: number }[];
  sum: number;
}

async function ratios(stack: Stack): Promise<Ratios> {
  const series = await seriesOf(stack, 'interleave_cost_ratio', {});
  const buckets = series
    .filter(({ labels }) => labels['le'] !== undefined)
    .map(({ labels, value }) => ({ le: labels['le'] === '+Inf' ? Infinity : Number(labels['le']), count: value }));
  return { buckets, sum: series.find((value) => 'metricName' in value && value.metricName === 'interleave_cost_ratio_sum')?.value ?? 0 };
}

async function seriesOf(stack: Stack, metric: string, labels: Record<string, string>) {
  const metrics = await fetchMetrics(join(stack.runDir, `${WORKER}.status.sock`), 5000);
  const values = metrics.find(({ name }) => name === metric)?.values ?? [];
  return values.filter((value) => Object.entries(labels).every(([name, text]) => value.labels[name] === text));
}

/** Runs with a ratio of at most `ratio`, as if they lay evenly within each bucket. */
function countBelow(buckets: { le: number; count: number }[], ratio: number): number {
  const upper = buckets.findIndex(({ le }) => ratio <= le);
  const [from, to] = [buckets[upper - 1] ?? { le: 0, count: 0 }, buckets[upper] ?? { le: Infinity, count: 0 }];
  if (to.le === Infinity) return from.count;
  return from.count + ((to.count - from.count) * (ratio - from.le)) / (to.le - from.le);
}

const round = (value: number): number => Number(value.toFixed(3));

main().catch((error: unknown) => {
  console.error(error);
  process.exitCode = 1;
});

import { fork } from 'node:child_process';
import { once } from 'node:events';
import { mkdirSync, writeFileSync } from 'node:fs';
import { cpus } from 'node:os';
import { join } from 'node:path';
import { SeededRandom } from '../../test/support/tensors';
import { Stack } from '../../test/support/stack';
import { BareRunner, type Run } from '../support/bare-runner';
import { LENGTH_MIXES } from '../support/lengths';
import { calibratedTable } from '../support/server-batch';
import { median } from '../support/statistics';
import type { Load } from './generator';
import type { Step } from './load-steps';

/**
 * Offered load against latency and goodput, from idle to ten times the capacity: an open loop with Poisson arrivals,
 * latencies from when a request was due. The capacity is that of bare session calls on as many pinned threads which know
 * all rows in advance; it is measured before each step, so that drift of the machine meets both.
 */
const MODEL = 'encoder-small';
const OUTPUT = 'sentence_embedding';
const MIX = 'lognormal, median 40';
const LOADS = [0.1, 0.3, 0.6, 0.8, 1, 1.5, 3, 10];
const STEP_MS = 8_000;
const DEADLINE_MS = 500;
const BARE_ROWS = 300;
const SEED = 13;
const SATURATED_LIMIT = 0.9;
const OVERLOAD_LIMIT = 0.85;
const REFUSAL_P99_LIMIT_MS = 5;

async function main(): Promise<void> {
  const stack = await Stack.start({ models: [MODEL] });
  const cpuNumbers = cpus().map((_, index) => index);
  const bare = new BareRunner({ modelPath: join(stack.dir, 'models', MODEL, 'model.onnx'), output: OUTPUT, cpus: cpuNumbers });
  try {
    await bare.setTable(await calibratedTable(stack, 'default-batch'));
    const runs = await bareRuns(bare);
    console.log(`${MODEL}, ${MIX}, deadline ${DEADLINE_MS} ms, ${STEP_MS / 1000} s a step, seed ${SEED}, executors and bare threads on CPUs ${cpuNumbers.join(', ')}`);
    const capacities: number[] = [BARE_ROWS / (await bare.seconds(runs))];
    await generate(loadOf(stack, 0.5, capacities));
    const steps: Step[] = [];
    for (const load of LOADS) {
      capacities.push(BARE_ROWS / (await bare.seconds(runs)));
      steps.push(await generate(loadOf(stack, load, capacities)));
    }
    report(median(capacities), steps);
  } finally {
    await bare.close();
    await stack.stop();
  }
}

async function bareRuns(bare: BareRunner): Promise<Run[]> {
  const random = new SeededRandom(SEED);
  const lengthOf = LENGTH_MIXES[MIX] ?? (() => 1);
  const runs = await bare.partition(Array.from({ length: BARE_ROWS }, () => lengthOf(random)), { rowsMax: 32, tokensMax: 4096 });
  return runs.sort((a, b) => b.rows * b.length - a.rows * a.length);
}

const loadOf = ({ url }: Stack, load: number, capacities: number[]): Load => ({
  ...{ url, model: MODEL, output: OUTPUT, mix: MIX, seed: SEED, load, durationMs: STEP_MS, deadlineMs: DEADLINE_MS },
  perSecond: load * median(capacities),
});

async function generate(load: Load): Promise<Step> {
  const generator = fork(join(__dirname, 'generator.js'), { serialization: 'advanced' }); // keeps NaN
  generator.send(load);
  const [step] = (await once(generator, 'message')) as [Step];
  return step;
}

function report(capacityPerSecond: number, steps: Step[]): void {
  console.table(
    steps.map((step) => ({
      'load': step.load,
      'offered/s': step.offeredPerSecond.toFixed(0),
      'goodput/s': step.goodputPerSecond.toFixed(1),
      'of bare': (step.goodputPerSecond / capacityPerSecond).toFixed(3),
      'p50 ms': step.p50Ms.toFixed(1),
      'p99 ms': step.p99Ms.toFixed(1),
      'refused': step.refused,
      'refusal p99 ms': step.refusalP99Ms.toFixed(2),
      'late': step.late,
      'failed': step.failed,
      'generator CPU': step.generatorCpuShare.toFixed(3),
    })),
  );
  const peak = Math.max(...steps.map(({ goodputPerSecond }) => goodputPerSecond));
  const last = steps.at(-1);
  console.log(`bare best batches: ${capacityPerSecond.toFixed(1)} rows/s; peak goodput ${(peak / capacityPerSecond).toFixed(3)} of it, limit ${SATURATED_LIMIT}`);
  console.log(`at ${last?.load} times the capacity: ${((last?.goodputPerSecond ?? NaN) / peak).toFixed(3)} of the peak, limit ${OVERLOAD_LIMIT}; refusal p99 limit ${REFUSAL_P99_LIMIT_MS} ms; late limit 0`);
  mkdirSync(join('bench', 'results'), { recursive: true });
  const conditions = { model: MODEL, mix: MIX, deadlineMs: DEADLINE_MS, stepMs: STEP_MS, seed: SEED, cpu: cpus()[0]?.model, cpus: cpus().length };
  writeFileSync(join('bench', 'results', 'online.json'), `${JSON.stringify({ ...conditions, capacityPerSecond, steps }, null, 2)}\n`);
}

main().catch((error: unknown) => {
  console.error(error);
  process.exitCode = 1;
});

import { fork } from 'node:child_process';
import { once } from 'node:events';
import { mkdirSync, writeFileSync } from 'node:fs';
import { cpus } from 'node:os';
import { join } from 'node:path';
import { SeededRandom } from '../../test/support/tensors';
import { Stack } from '../../test/support/stack';
import { BareRunner, type Run } from '../support/bare-runner';
import { layoutOf, pinProcess } from '../support/layout';
import { LENGTH_MIXES } from '../support/lengths';
import { calibratedTable } from '../support/server-batch';
import { median } from '../support/statistics';
import type { Load } from './generator';
import type { Step } from './load-steps';

/**
 * Offered load against latency and goodput, from idle to ten times the capacity: an open loop with Poisson arrivals,
 * latencies from when a request was due. The capacity is that of bare session calls on as many pinned threads which know
 * all rows in advance; it is measured before each step, so that drift of the machine meets both. Once with callers and api
 * on a CPU of their own, as the default placement has it from 4 CPUs on, once with everything on every CPU, where at ten
 * times the capacity callers and api take up to a quarter of what the executors were measured with.
 */
const MODEL = 'encoder-small';
const OUTPUT = 'sentence_embedding';
const MIX = 'lognormal, median 40';
const LOADS = [0.1, 0.3, 0.6, 0.8, 1, 1.5, 3, 10];
const WARM_MS = 2_000;
const STEP_MS = 8_000;
const DEADLINE_MS = 500;
const BARE_ROWS = 300;
const SEED = 13;
const SATURATED_LIMIT = 0.9;
const OVERLOAD_LIMIT = 0.85;
const REFUSAL_P99_LIMIT_MS = 5;

interface Place {
  name: string;
  executorCpus: number[];
  /** CPU of callers, api and scheduler; null: they run where the kernel puts them. */
  systemCpu: number | null;
}

interface Result extends Place {
  capacityPerSecond: number;
  steps: Step[];
}

async function main(): Promise<void> {
  const { systemCpu, partitionCpus } = layoutOf(cpus().length);
  const results: Result[] = [];
  const places: Place[] = [
    { name: 'callers and api on a CPU of their own', executorCpus: partitionCpus, systemCpu },
    { name: 'everything on every CPU', executorCpus: cpus().map((_, index) => index), systemCpu: null },
  ];
  for (const place of places) {
    const result = await measure(place);
    report(result);
    results.push(result);
  }
  save(results);
}

async function measure(place: Place): Promise<Result> {
  const { executorCpus, systemCpu } = place;
  const stack = await Stack.start({ models: [MODEL], config: JSON.stringify({ partitions: [{ id: 'default', cpus: executorCpus }] }) });
  let bare: BareRunner | null = null;
  try {
    bare = new BareRunner({ modelPath: join(stack.dir, 'models', MODEL, 'model.onnx'), output: OUTPUT, cpus: executorCpus });
    await bare.setTable(await calibratedTable(stack, 'default-batch'));
    if (systemCpu !== null) for (const pid of await systemPids(stack)) pinProcess(pid, systemCpu);
    const runs = await bareRuns(bare);
    console.log(
      `${place.name}: ${MODEL}, ${MIX}, deadline ${DEADLINE_MS} ms, ${STEP_MS / 1000} s a step after ${WARM_MS / 1000} s of warm-up, seed ${SEED}, executors and bare threads on CPUs ${executorCpus.join(', ')}`,
    );
    const capacities: number[] = [BARE_ROWS / (await bare.seconds(runs))];
    await generate(loadOf(stack, 0.5, capacities), systemCpu);
    const steps: Step[] = [];
    for (const load of LOADS) {
      capacities.push(BARE_ROWS / (await bare.seconds(runs)));
      steps.push(await generate(loadOf(stack, load, capacities), systemCpu));
    }
    return { ...place, capacityPerSecond: median(capacities), steps };
  } finally {
    await bare?.close();
    await stack.stop();
  }
}

/** The scheduler and every process that it looks after, workers aside. */
async function systemPids(stack: Stack): Promise<number[]> {
  const others = (await stack.processes()).filter(({ id }) => !/-(realtime|batch)$/.test(id));
  return [stack.schedulerPid, ...others.flatMap(({ pid }) => pid ?? [])];
}

function bareRuns(bare: BareRunner): Promise<Run[]> {
  const random = new SeededRandom(SEED);
  const lengthOf = LENGTH_MIXES[MIX] ?? (() => 1);
  return bare.bestRuns(Array.from({ length: BARE_ROWS }, () => lengthOf(random)));
}

const loadOf = ({ url }: Stack, load: number, capacities: number[]): Load => ({
  url,
  model: MODEL,
  output: OUTPUT,
  mix: MIX,
  seed: SEED,
  load,
  warmMs: WARM_MS,
  durationMs: STEP_MS,
  deadlineMs: DEADLINE_MS,
  perSecond: load * median(capacities),
});

async function generate(load: Load, cpu: number | null): Promise<Step> {
  const generator = fork(join(__dirname, 'generator.js'), { serialization: 'advanced' }); // keeps NaN
  if (cpu !== null) pinProcess(generator.pid ?? 0, cpu);
  generator.send(load);
  const [step] = (await once(generator, 'message')) as [Step];
  return step;
}

function report({ capacityPerSecond, steps }: Result): void {
  console.table(
    steps.map((step) => ({
      load: step.load,
      'offered/s': step.offeredPerSecond.toFixed(0),
      'goodput/s': step.goodputPerSecond.toFixed(1),
      'of bare': (step.goodputPerSecond / capacityPerSecond).toFixed(3),
      'p50 ms': step.p50Ms.toFixed(1),
      'p99 ms': step.p99Ms.toFixed(1),
      refused: step.refused,
      'refusal p99 ms': step.refusalFromDueP99Ms.toFixed(2),
      late: step.late,
      failed: step.failed,
      'generator CPU': step.generatorCpuShare.toFixed(3),
    })),
  );
  const peak = Math.max(...steps.map(({ goodputPerSecond }) => goodputPerSecond));
  const last = steps.at(-1);
  console.log(
    `bare best batches: ${capacityPerSecond.toFixed(1)} rows/s; peak goodput ${(peak / capacityPerSecond).toFixed(3)} of it, limit ${SATURATED_LIMIT}`,
  );
  console.log(
    `at ${last?.load} times the capacity: ${((last?.goodputPerSecond ?? NaN) / peak).toFixed(3)} of the peak, limit ${OVERLOAD_LIMIT}; refusal p99 limit ${REFUSAL_P99_LIMIT_MS} ms; late limit 0`,
  );
}

function save(places: Result[]): void {
  mkdirSync(join('bench', 'results'), { recursive: true });
  const conditions = {
    model: MODEL,
    mix: MIX,
    deadlineMs: DEADLINE_MS,
    warmMs: WARM_MS,
    stepMs: STEP_MS,
    seed: SEED,
    cpu: cpus()[0]?.model,
    cpus: cpus().length,
  };
  writeFileSync(join('bench', 'results', 'online.json'), `${JSON.stringify({ ...conditions, places }, null, 2)}\n`);
}

main().catch((error: unknown) => {
  console.error(error);
  process.exitCode = 1;
});

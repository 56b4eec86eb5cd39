import { fork, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { cpus } from 'node:os';
import { join } from 'node:path';
import { Stack } from '../../test/support/stack';
import { layoutOf, pinProcess } from '../support/layout';
import type { Load, Steps } from './generator';
import type { LongTexts } from './long-texts';

/**
 * Requests of many long texts, of which parsing, tokenizing and writing cost the api as much as the model costs the
 * workers: the rate at which most are answered in time is looked for first, then come 2, 5 and 10 times that much, with
 * requests of one short text beside them. All ratios are within one run. Once with distinct texts, once with equal ones.
 */
const MODEL = 'encoder-tiny';
const DISTINCT: LongTexts = { model: MODEL, texts: 32, charactersMin: 880, areEqual: false };
const FIRST_PER_SECOND = 3;
const GROWTH = 1.6;
const RATES_MAX = 20;
/** Steps of the sweep without a new peak after which it ends. */
const FALLING_STEPS = 2;
const OVERLOADS = [2, 5, 10];
const SMALL_PER_SECOND = 10;
const WARM_MS = 3_000;
const STEP_MS = 6_000;
const DEADLINE_MS = 2_000;
const SEED = 17;
const GOODPUT_LIMIT = 0.9;
const REFUSAL_P99_LIMIT_MS = 20;

interface Place {
  name: string;
  executorCpus: number[];
  /** CPU of callers, api and scheduler; null: they run where the kernel puts them. */
  systemCpu: number | null;
}

/** One rate, with the CPUs that the node's processes used meanwhile. */
interface Measured extends Steps {
  apiCpus: number;
  workerCpus: number;
}

interface Result {
  place: string;
  texts: string;
  peakPerSecond: number;
  sweep: Measured[];
  overload: Measured[];
}

async function main(): Promise<void> {
  const { systemCpu, partitionCpus } = layoutOf(cpus().length);
  const places: Place[] = [
    { name: 'callers and api on a CPU of their own', executorCpus: partitionCpus, systemCpu },
    { name: 'everything on every CPU', executorCpus: cpus().map((_, index) => index), systemCpu: null },
  ];
  const results: Result[] = [];
  for (const place of places) {
    for (const requests of [DISTINCT, { ...DISTINCT, areEqual: true }]) {
      const result = await measure(place, requests);
      report(result);
      results.push(result);
    }
  }
  save(results);
}

async function measure(place: Place, requests: LongTexts): Promise<Result> {
  const stack = await Stack.start({
    models: [MODEL],
    config: JSON.stringify({ partitions: [{ id: 'default', cpus: place.executorCpus }] }),
  });
  const generator = fork(join(__dirname, 'generator.js'), { serialization: 'advanced' }); // keeps NaN
  try {
    const pids = await pidsOf(stack);
    if (place.systemCpu !== null)
      for (const pid of [stack.schedulerPid, generator.pid ?? 0, ...pids.others]) pinProcess(pid, place.systemCpu);
    const at = (perSecond: number) => step(generator, pids, loadOf(stack, requests, perSecond));
    await at(FIRST_PER_SECOND * GROWTH ** 3); // compiles
    const sweep = await sweepRates(at);
    const peakPerSecond = Math.max(...sweep.map(goodput));
    const overload: Measured[] = [];
    for (const times of OVERLOADS) overload.push(await at(times * peakPerSecond));
    return { place: place.name, texts: requests.areEqual ? 'equal' : 'distinct', peakPerSecond, sweep, overload };
  } finally {
    generator.disconnect();
    await stack.stop();
  }
}

const goodput = ({ large }: Steps): number => large.goodputPerSecond;

async function sweepRates(at: (perSecond: number) => Promise<Measured>): Promise<Measured[]> {
  const steps: Measured[] = [];
  let bestAt = 0;
  for (let i = 0; i < RATES_MAX && i <= bestAt + FALLING_STEPS; i++) {
    const measured = await at(FIRST_PER_SECOND * GROWTH ** i);
    steps.push(measured);
    if (goodput(measured) > goodput(steps[bestAt] ?? measured)) bestAt = i;
  }
  return steps;
}

interface Pids {
  api: number[];
  workers: number[];
  /** All but workers. */
  others: number[];
}

async function pidsOf(stack: Stack): Promise<Pids> {
  const processes = await stack.processes();
  const pids = (pattern: RegExp, matches = true) =>
    processes.flatMap(({ id, pid }) => (pid !== null && pattern.test(id) === matches ? [pid] : []));
  return { api: pids(/^api/), workers: pids(/-realtime$/), others: pids(/-(realtime|batch)$/, false) };
}

const loadOf = ({ url }: Stack, requests: LongTexts, perSecond: number): Load => ({
  url,
  requests,
  perSecond,
  seed: SEED,
  smallPerSecond: SMALL_PER_SECOND,
  warmMs: WARM_MS,
  durationMs: STEP_MS,
  deadlineMs: DEADLINE_MS,
});

async function step(generator: ChildProcess, { api, workers }: Pids, load: Load): Promise<Measured> {
  const startMs = performance.now();
  const [apiBefore, workersBefore] = [cpuSeconds(api), cpuSeconds(workers)];
  generator.send(load);
  const [steps] = (await once(generator, 'message')) as [Steps];
  const seconds = (performance.now() - startMs) / 1000;
  return { ...steps, apiCpus: (cpuSeconds(api) - apiBefore) / seconds, workerCpus: (cpuSeconds(workers) - workersBefore) / seconds };
}

/** The kernel's USER_HZ, which is 100 wherever Linux runs. */
const TICKS_PER_SECOND = 100;

function cpuSeconds(pids: number[]): number {
  const ticks = pids.map((pid) => {
    const fields = readFileSync(`/proc/${pid}/stat`, 'utf8').split(') ')[1]?.split(' ') ?? [];
    return Number(fields[11]) + Number(fields[12]);
  });
  return ticks.reduce((sum, count) => sum + count, 0) / TICKS_PER_SECOND;
}

function report({ place, texts, peakPerSecond, sweep, overload }: Result): void {
  console.log(`${place}; ${DISTINCT.texts} ${texts} texts of ${DISTINCT.charactersMin} characters a request, deadline ${DEADLINE_MS} ms`);
  console.table(
    [...sweep, ...overload].map(({ large, small, apiCpus, workerCpus }) => ({
      'offered/s': large.offeredPerSecond.toFixed(0),
      'goodput/s': large.goodputPerSecond.toFixed(1),
      'of peak': (large.goodputPerSecond / peakPerSecond).toFixed(3),
      'p99 ms': large.p99Ms.toFixed(0),
      refused: large.refused,
      'refusal p50 ms': large.refusalP50Ms.toFixed(1),
      'refusal p99 ms': large.refusalP99Ms.toFixed(1),
      'from due p99': large.refusalFromDueP99Ms.toFixed(1),
      late: large.late,
      failed: large.failed,
      'small ok/s': small.goodputPerSecond.toFixed(1),
      'small refused': small.refused,
      'small p99 ms': small.p99Ms.toFixed(1),
      'api CPU': apiCpus.toFixed(2),
      'worker CPU': workerCpus.toFixed(2),
      'generator CPU': large.generatorCpuShare.toFixed(2),
    })),
  );
  const last = overload.at(-1)?.large;
  console.log(
    `at ${OVERLOADS.at(-1)} times the peak of ${peakPerSecond.toFixed(1)}/s: ${((last?.goodputPerSecond ?? NaN) / peakPerSecond).toFixed(3)} of it, limit ${GOODPUT_LIMIT}; refusal p99 ${last?.refusalP99Ms.toFixed(1)} ms, limit ${REFUSAL_P99_LIMIT_MS} ms`,
  );
}

function save(results: Result[]): void {
  mkdirSync(join('bench', 'results'), { recursive: true });
  const conditions = {
    ...DISTINCT,
    deadlineMs: DEADLINE_MS,
    warmMs: WARM_MS,
    stepMs: STEP_MS,
    seed: SEED,
    cpu: cpus()[0]?.model,
    cpus: cpus().length,
  };
  writeFileSync(join('bench', 'results', 'overload.json'), `${JSON.stringify({ ...conditions, results }, null, 2)}\n`);
}

main().catch((error: unknown) => {
  console.error(error);
  process.exitCode = 1;
});

import { mkdtempSync, rmSync, symlinkSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { fetchStatus } from '@app/process';
import { Scrape } from '../../test/support/metrics';
import { Stack, until } from '../../test/support/stack';
import type { Layout } from '../../apps/cli/src/parallel/cost-model';
import { calledModel, cpuSetsOf, modelsOf } from '../../apps/cli/src/parallel/cpu-sets';
import { HttpConnection } from '../support/http-connection';
import { infer } from '../support/infer-request';
import { quantile } from '../support/statistics';

const OUTPUT = 'sentence_embedding';
const TIMEOUT_MS = 600_000;
/** Short rows before the measurement: until then the API's code runs as V8 interprets it, at ten times the cost. */
const WARM_UP = { rows: 4000, msMax: 15_000, length: 4, callers: 8 };
const LATENCY_RUNS = 9;
const MEASURE_RUNS_MIN = 8;
const MEASURE_MS_MIN = 8000;
const LOADED_MS_MAX = 600_000;

export interface NodeRequest {
  /** Holds the whole model, its stages and their pipeline. */
  modelsDir: string;
  model: string;
  layout: Layout;
  cpus: readonly number[];
  length: number;
  predictedMs: number;
}

export interface Measured {
  latencyMs: number;
  rowsPerSecond: number;
  bubbleShare: number;
  /** CPU time of the API and of the callers for each row, with every executor busy; CPUs that other processes but workers take. */
  apiMs: number;
  callersMs: number;
  otherCpus: number;
  /** Time of executors in the runtime for each row, all stages together. */
  runMs: number;
  /** What each worker takes that no file backs, by what it runs. */
  workers: { models: string[]; residentBytes: number }[];
}

/** A real node with this layout: the time of one request, then rows a second with every executor busy. */
export async function measureNode(request: NodeRequest): Promise<Measured> {
  const { model, layout, modelsDir, predictedMs } = request;
  const partitions = cpuSetsOf(model, layout, request.cpus).map((set, i) => ({ id: `set-${i + 1}`, class: 'reserved', ...set }));
  const realtime = { timeoutMs: TIMEOUT_MS, runTimeoutMs: TIMEOUT_MS, runRowsMax: 1, executorThreads: layout.width };
  const target = calledModel(model, layout);
  const own = mkdtempSync(join(tmpdir(), 'il-parallel-'));
  for (const name of new Set([...modelsOf(model, layout), target])) symlinkSync(resolve(modelsDir, name), join(own, name));
  const stack = await Stack.start({
    models: [],
    environment: { MODELS_DIR: own },
    config: JSON.stringify({ partitions, realtime, calibration: { budgetMs: 0 } }),
  });
  try {
    await until(
      async () => (await fetch(`${stack.url}/v2/models/${target}/ready`)).status === 200,
      LOADED_MS_MAX,
      () => `${target} is not ready:\n${stack.log().slice(-4000)}`,
    );
    await warmUp(stack, target);
    const caller = new Caller(stack.url, target, request.length);
    for (let i = 0; i < LATENCY_RUNS; i++) await caller.answered();
    const times: number[] = [];
    for (let i = 0; i < LATENCY_RUNS; i++) times.push(await caller.answered());
    const executors = partitions.reduce((sum, { cpus }) => sum + cpus.length, 0);
    const inFlight = 2 * layout.stages * layout.replicas;
    const busy = await underLoad(stack, request, inFlight, Math.max(MEASURE_MS_MIN, MEASURE_RUNS_MIN * predictedMs));
    return {
      latencyMs: quantile(times, 0.5),
      rowsPerSecond: busy.rowsPerSecond,
      bubbleShare: 1 - (busy.runMs * busy.rowsPerSecond) / (1000 * executors),
      apiMs: busy.apiMs,
      callersMs: busy.callersMs,
      otherCpus: busy.otherCpus,
      runMs: busy.runMs,
      workers: await Promise.all(partitions.map((partition) => memoryOf(stack, partition))),
    };
  } finally {
    await stack.stop();
    rmSync(own, { recursive: true, force: true });
  }
}

async function warmUp({ url }: Stack, model: string): Promise<void> {
  const endMs = performance.now() + WARM_UP.msMax;
  let left = WARM_UP.rows;
  const loops = Array.from({ length: WARM_UP.callers }, async (_, i) => {
    const caller = new Caller(url, model, WARM_UP.length, i);
    while (left-- > 0 && performance.now() < endMs) await caller.answered();
    caller.close();
  });
  await Promise.all(loops);
}

async function memoryOf(stack: Stack, { id, models }: { id: string; models: string[] }): Promise<Measured['workers'][number]> {
  const { memory } = await fetchStatus('worker', join(stack.runDir, `${id}-realtime.status.sock`), 10_000);
  return { models, residentBytes: memory.resident };
}

/** Callers that each send the next row when they have the answer; the first rows of each fill the pipeline and do not count. */
async function underLoad(
  stack: Stack,
  { model, layout, length }: NodeRequest,
  callers: number,
  durationMs: number,
): Promise<Pick<Measured, 'rowsPerSecond' | 'apiMs' | 'callersMs' | 'otherCpus' | 'runMs'>> {
  const target = calledModel(model, layout);
  let isOver = false;
  let done = 0;
  const loops = Array.from({ length: callers }, async (_, i) => {
    const caller = new Caller(stack.url, target, length, i + 1);
    while (!isOver) {
      await caller.answered();
      done++;
    }
    caller.close();
  });
  await until(
    async () => done >= callers,
    LOADED_MS_MAX,
    () => 'no answers under load',
  );
  const before = { done, times: await timesOf(stack) };
  await new Promise((resolve) => setTimeout(resolve, durationMs));
  const after = await timesOf(stack);
  const rows = done - before.done;
  const perRow = (key: keyof typeof after): number => (after[key] - before.times[key]) / rows;
  isOver = true;
  await Promise.all(loops);
  return {
    rowsPerSecond: 1000 / perRow('nowMs'),
    apiMs: perRow('apiMs'),
    callersMs: perRow('callersMs'),
    otherCpus: perRow('otherMs') / perRow('nowMs'),
    runMs: perRow('runMs'),
  };
}

async function timesOf({ url }: Stack): Promise<Record<'nowMs' | 'runMs' | 'apiMs' | 'callersMs' | 'otherMs', number>> {
  const scrape = await Scrape.of(url);
  const cpuMs = (process: string): number => 1000 * scrape.sum('interleave_process_cpu_seconds_total', { process });
  const { user, system } = process.cpuUsage();
  return {
    nowMs: performance.now(),
    runMs: 1000 * scrape.sum('interleave_run_seconds_total'),
    apiMs: cpuMs('api'),
    otherMs: cpuMs('scheduler') + cpuMs('runner'),
    callersMs: (user + system) / 1000,
  };
}

/** One connection; each row has other ids than those before, so that no two run as one. */
class Caller {
  private connection: HttpConnection | null = null;
  private count = 0;

  constructor(
    private readonly url: string,
    private readonly model: string,
    private readonly length: number,
    private readonly seed = 0,
  ) {}

  /** The time of one request in ms. Throws for any answer but the wanted. */
  async answered(): Promise<number> {
    this.connection ??= await HttpConnection.open(this.url);
    this.count++;
    const ids = Array.from({ length: this.length }, (_, i) => 1 + ((i * 31 + this.seed * 577 + this.count * 7919) % 2000));
    const startedMs = performance.now();
    const { status, body } = await this.connection.send(infer({ model: this.model, ids, output: OUTPUT, headers: {} }));
    if (status !== 200) throw new Error(`${this.model}: ${status} ${body.toString('utf8').slice(0, 500)}`);
    return performance.now() - startedMs;
  }

  close(): void {
    this.connection?.close();
  }
}

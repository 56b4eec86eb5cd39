import { mkdtempSync, rmSync, symlinkSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { fetchStatus } from '@app/process';
import { Scrape } from '../../test/support/metrics';
import { Stack, until } from '../../test/support/stack';
import type { Layout } from '../../apps/cli/src/parallel/cost-model';
import { HttpConnection } from '../support/http-connection';
import { infer } from '../support/infer-request';
import { quantile } from '../support/statistics';

const OUTPUT = 'sentence_embedding';
const TIMEOUT_MS = 600_000;
const WARM_UP_MS = 3000;
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
  /** What each worker takes that no file backs, by what it runs. */
  workers: { models: string[]; residentBytes: number }[];
}

const modelsOf = (model: string, stages: number): string[] =>
  stages === 1 ? [model] : Array.from({ length: stages }, (_, i) => `${model}-stage-${i + 1}`);

/** Stages on their own CPUs; more than there is room for share those of their neighbours. */
function partitionsOf({ model, layout, cpus }: Pick<NodeRequest, 'model' | 'layout' | 'cpus'>): object[] {
  const { stages, replicas, width } = layout;
  const cpusOfSet = replicas * width;
  const sets = Math.min(stages, Math.floor(cpus.length / cpusOfSet));
  const names = modelsOf(model, stages);
  return Array.from({ length: sets }, (_, i) => ({
    id: `set-${i + 1}`,
    class: 'reserved',
    cpus: cpus.slice(i * cpusOfSet, (i + 1) * cpusOfSet),
    models: names.filter((_, stage) => Math.floor((stage * sets) / stages) === i),
  }));
}

/** A real node with this layout: the time of one request, then rows a second with every executor busy. */
export async function measureNode(request: NodeRequest): Promise<Measured> {
  const { model, layout, modelsDir, predictedMs } = request;
  const partitions = partitionsOf(request);
  const realtime = { timeoutMs: TIMEOUT_MS, runTimeoutMs: TIMEOUT_MS, runRowsMax: 1, executorThreads: layout.width };
  const target = layout.stages === 1 ? model : `${model}-pipeline`;
  const own = mkdtempSync(join(tmpdir(), 'il-parallel-'));
  for (const name of new Set([...modelsOf(model, layout.stages), target])) symlinkSync(resolve(modelsDir, name), join(own, name));
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
    const caller = new Caller(stack.url, target, request.length);
    for (const endMs = performance.now() + WARM_UP_MS; performance.now() < endMs;) await caller.answered();
    const times: number[] = [];
    for (let i = 0; i < LATENCY_RUNS; i++) times.push(await caller.answered());
    const executors = (partitions as { cpus: number[] }[]).reduce((sum, { cpus }) => sum + cpus.length, 0);
    const inFlight = 2 * layout.stages * layout.replicas;
    const busy = await underLoad(stack, request, inFlight, Math.max(MEASURE_MS_MIN, MEASURE_RUNS_MIN * predictedMs));
    return {
      latencyMs: quantile(times, 0.5),
      rowsPerSecond: busy.rowsPerSecond,
      bubbleShare: 1 - busy.runSeconds / (executors * busy.seconds),
      workers: await Promise.all((partitions as { id: string; models: string[] }[]).map((partition) => memoryOf(stack, partition))),
    };
  } finally {
    await stack.stop();
    rmSync(own, { recursive: true, force: true });
  }
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
): Promise<{ rowsPerSecond: number; runSeconds: number; seconds: number }> {
  const target = layout.stages === 1 ? model : `${model}-pipeline`;
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
  const before = { done, ms: performance.now(), run: await runSeconds(stack) };
  await new Promise((resolve) => setTimeout(resolve, durationMs));
  const seconds = (performance.now() - before.ms) / 1000;
  const rows = done - before.done;
  const run = (await runSeconds(stack)) - before.run;
  isOver = true;
  await Promise.all(loops);
  return { rowsPerSecond: rows / seconds, runSeconds: run, seconds };
}

const runSeconds = async (stack: Stack): Promise<number> => (await Scrape.of(stack.url)).sum('interleave_run_seconds_total');

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

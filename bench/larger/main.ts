import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { CostGrid } from '@app/contracts';
import { simulate, type SimulationReport } from '@app/native';
import { SeededRandom } from '../../test/support/tensors';
import { Stack } from '../../test/support/stack';
import { LENGTH_MIXES } from '../support/lengths';
import { calibratedTable } from '../support/server-batch';
import { measureNode, type NodeTimes } from './node-times';
import { holdAt, QueueTimes, type Hold } from './queue-times';

/**
 * What binds on machines with more CPUs than this one: the simulator runs the policy of a live worker with so many executors on a
 * trace, and what there is one of (the queue's lock, the thread of the channel, the API's event loop) is charged with what it was
 * measured to take here for each run and request. Poisson arrivals, lengths lognormal with median 40, one row a request.
 */
const MODELS = ['encoder-small', 'encoder-tiny'];
const MIX = 'lognormal, median 40';
const EXECUTORS = [2, 8, 32, 128];
const LOADS = [0.5, 0.8, 0.95];
const TIMEOUT_NS = 2_000_000_000;
const LIMITS = { rowsMax: 32, tokensMax: 4096, queueItemsMax: 4096, modelsCount: 1, lane: 'realtime' as const };
const SEED = 17;
/** Runs of one executor that a trace is long for. */
const RUNS_PER_EXECUTOR = 400;
const REQUESTS_MAX = 400_000;
const WAITING = [1, 8, 64, 512, 4096];
const CONTEND_THREADS = [1, 2, 4, 16, 64];
const CONTEND_WAITING = 64;
/** Of each measurement of the queue under contention, and of the channel. */
const SECONDS = 2;
const CHANNEL_TOKENS = 40;
const CONNECTIONS = 32;
const NODE_MS = 8_000;

interface Step {
  model: string;
  executors: number;
  load: number;
  offeredPerSecond: number;
  requestsPerSecond: number;
  runsPerSecond: number;
  rowsPerRun: number;
  waitP99Ms: number;
  waitingItems: number;
  /** Shares of the time of what there is one of; above 1 it cannot keep up. */
  lockShare: number;
  channelShare: number;
  apiShare: number;
}

async function main(): Promise<void> {
  const queue = new QueueTimes();
  try {
    const tables = new Map<string, CostGrid>();
    for (const model of MODELS) tables.set(model, await tableOf(model));
    const node = await nodeTimes();
    console.log(`node, ${CONNECTIONS} connections: ${JSON.stringify(node)}`);
    const channelItemsPerSecond = await queue.channelItemsPerSecond(CHANNEL_TOKENS, SECONDS);
    console.log(`channel alone: ${channelItemsPerSecond.toFixed(0)} items/s`);
    const queues: object[] = [];
    const steps: Step[] = [];
    for (const [model, grid] of tables) {
      await queue.setTable(grid);
      for (const executors of EXECUTORS) {
        const holds = await holdsOf(queue, executors);
        queues.push({ model, executors, holds, wakeNs: await queue.wakeNs(executors) });
        console.log(JSON.stringify(queues.at(-1)));
        for (const load of LOADS) steps.push(stepOf({ model, executors, load, grid, holds, node }));
      }
    }
    console.table(steps.map(rounded));
    const contended = await contention(queue, Math.max(...EXECUTORS));
    console.log(JSON.stringify(contended));
    save({ node, channelItemsPerSecond, queues, contended, steps });
  } finally {
    await queue.close();
  }
}

async function tableOf(model: string): Promise<CostGrid> {
  const stack = await Stack.start({ models: [model] });
  try {
    return await calibratedTable(stack, 'default-batch');
  } finally {
    await stack.stop();
  }
}

async function nodeTimes(): Promise<NodeTimes> {
  const stack = await Stack.start({ models: ['encoder-tiny'], config: 'calibration: { budgetMs: 0 }' });
  try {
    return await measureNode(stack, 'encoder-tiny', CONNECTIONS, NODE_MS);
  } finally {
    await stack.stop();
  }
}

function lengths(count: number): number[] {
  const random = new SeededRandom(SEED);
  const lengthOf = LENGTH_MIXES[MIX] ?? (() => 1);
  return Array.from({ length: count }, () => lengthOf(random));
}

async function holdsOf(queue: QueueTimes, executors: number): Promise<Hold[]> {
  const holds: Hold[] = [];
  for (const waiting of WAITING) holds.push(await queue.hold(executors, waiting, lengths(4096)));
  return holds;
}

/** With the table of the last model. */
async function contention(queue: QueueTimes, executors: number): Promise<{ threads: number; runsPerSecond: number }[]> {
  const found: { threads: number; runsPerSecond: number }[] = [];
  for (const threads of CONTEND_THREADS.filter((count) => count <= executors)) {
    const options = { executors, threads, waiting: CONTEND_WAITING, seconds: SECONDS, lengths: lengths(4096) };
    found.push({ threads, runsPerSecond: await queue.contend(options) });
  }
  return found;
}

interface StepOptions extends Pick<Step, 'model' | 'executors' | 'load'> {
  grid: CostGrid;
  holds: Hold[];
  node: NodeTimes;
}

function stepOf({ model, executors, load, grid, holds, node }: StepOptions): Step {
  const offeredPerSecond = load * capacityPerSecond(grid, executors);
  const report = simulateAt(grid, executors, offeredPerSecond);
  const seconds = report.simulatedNs / 1e9;
  const [requestsPerSecond, runsPerSecond] = [report.answered / seconds, report.runs / seconds];
  const { takeNs, pushNs, answerNs } = holdAt(holds, report.waitingItems);
  return {
    model,
    executors,
    load,
    offeredPerSecond,
    requestsPerSecond,
    runsPerSecond,
    rowsPerRun: report.rowsPerRun,
    waitP99Ms: report.wait.p99Ns / 1e6,
    waitingItems: report.waitingItems,
    lockShare: (runsPerSecond * takeNs + requestsPerSecond * (pushNs + answerNs)) / 1e9,
    channelShare: (requestsPerSecond * node.channelUs) / 1e6,
    apiShare: (requestsPerSecond * node.apiLoopUs) / 1e6,
  };
}

/** What the executors answer when all rows are there at once: their best runs, without waiting. */
function capacityPerSecond(grid: CostGrid, executors: number): number {
  const count = Math.min(LIMITS.queueItemsMax, 1024);
  const trace = lengths(count).map((length) => item(0, length, 0));
  const report = simulate({ ...LIMITS, executors: 1, costs: grid, seed: SEED, trace });
  return (report.answered / (report.simulatedNs / 1e9)) * executors;
}

function simulateAt(grid: CostGrid, executors: number, perSecond: number): SimulationReport {
  const random = new SeededRandom(SEED + 1);
  const count = Math.min(REQUESTS_MAX, RUNS_PER_EXECUTOR * executors * 4);
  let arrivalNs = 0;
  const trace = lengths(count).map((length) => {
    arrivalNs += (-Math.log(1 - random.next()) / perSecond) * 1e9;
    return item(Math.round(arrivalNs), length, TIMEOUT_NS);
  });
  return simulate({ ...LIMITS, executors, costs: grid, seed: SEED, trace });
}

const item = (arrivalNs: number, length: number, timeoutNs: number) => ({
  arrivalNs,
  model: 0,
  priority: 0,
  rows: 1,
  lengths: [length, 0] as [number, number],
  timeoutNs,
});

const rounded = (step: Step): object =>
  Object.fromEntries(
    Object.entries(step).map(([name, value]) => [name, typeof value === 'number' ? Number(value.toPrecision(4)) : (value as string)]),
  );

function save(results: object): void {
  const outDir = join(process.cwd(), 'bench', 'results');
  mkdirSync(outDir, { recursive: true });
  writeFileSync(join(outDir, 'larger.json'), `${JSON.stringify({ mix: MIX, seed: SEED, ...results }, null, 2)}\n`);
}

main().catch((error: unknown) => {
  console.error(error);
  process.exitCode = 1;
});

import { readFileSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
import type { SupervisedProcessStatus } from '@app/contracts';
import { readTopology } from '@app/system';
import { Stack, until } from '../../test/support/stack';
import { SeededRandom } from '../../test/support/tensors';
import { OpenLoop, type Outcome } from '../online/open-loop';
import { infer } from '../support/infer-request';

export const MODEL = 'encoder-tiny';
const OUTPUT = 'sentence_embedding';
const TOKENS_MAX = 64;
const REQUESTS = 500;
const DEADLINE_MS = 10_000;
const RECOVERY_MS_MAX = 60_000;

/** A node whose live requests have two workers to go to, as far as there are CPUs for two partitions. */
export function startFaultyNode(): Promise<Stack> {
  const partitions = readTopology()
    .effective.slice(0, 2)
    .map((cpu, index) => `{ id: part-${index}, cpus: [${cpu}] }`);
  return Stack.start({ models: [MODEL], config: `partitions: [${partitions.join(', ')}]\n` });
}

export const realtimeWorkers = async (stack: Stack): Promise<SupervisedProcessStatus[]> =>
  (await stack.processes()).filter(({ id }) => id.endsWith('-realtime'));

/** Sends live requests, an open loop, while `faults` happen. */
export async function underLiveLoad<T>(
  stack: Stack,
  options: { perSecond: number; seed: number },
  faults: () => Promise<T>,
): Promise<{ result: T; outcomes: Outcome[] }> {
  const random = new SeededRandom(options.seed);
  const loop = new OpenLoop(stack.url);
  const headers = { 'x-interleave-timeout-ms': String(DEADLINE_MS) };
  const requests = Array.from({ length: REQUESTS }, () => {
    const ids = Array.from({ length: random.integer(4, TOKENS_MAX) }, () => random.integer(5, 900));
    return infer({ model: MODEL, ids, output: OUTPUT, headers });
  });
  const end = new AbortController();
  const load = loop.run(requests, { perSecond: options.perSecond, durationMs: Infinity, random, signal: end.signal });
  try {
    const result = await faults();
    end.abort();
    return { result, outcomes: await load };
  } finally {
    end.abort();
    await load;
    loop.close();
  }
}

/** On the clock of `performance.now`. */
export interface Fault {
  atMs: number;
  /** A worker's: the process is gone. A scheduler's: the next one knows every process. */
  endMs: number;
}

export interface WorkerFault extends Fault {
  /** From `atMs` until its successor was ready. */
  readyMs: number;
}

/** Sends a signal to the real-time workers, in turn, `rounds` times, each time when all are ready. */
export async function faultWorkers(
  stack: Stack,
  options: { signal: 'SIGKILL' | 'SIGSTOP'; rounds: number; random: SeededRandom },
): Promise<WorkerFault[]> {
  const faults: WorkerFault[] = [];
  for (let round = 0; round < options.rounds; round++) {
    await allReady(stack);
    await sleep(200 + options.random.next() * 300);
    const workers = await realtimeWorkers(stack);
    const { id, pid } = workers[round % workers.length] as SupervisedProcessStatus;
    if (pid === null) throw new Error(`${id} does not run`);
    const atMs = performance.now();
    process.kill(pid, options.signal);
    while (isRunning(pid)) await sleep(5);
    const endMs = performance.now();
    await until(
      async () => (await stack.processes()).some((other) => other.id === id && other.pid !== pid && other.state === 'ready'),
      RECOVERY_MS_MAX,
      () => `${id} did not come back`,
    );
    faults.push({ atMs, endMs, readyMs: performance.now() - atMs });
  }
  return faults;
}

/** A zombie waits for its parent, or whoever took its place, and does nothing any more. */
function isRunning(pid: number): boolean {
  try {
    return !/\) [ZX] /.test(readFileSync(`/proc/${pid}/stat`, 'latin1'));
  } catch {
    return false;
  }
}

export interface SchedulerFault extends Fault {
  /** From the start of the next one until it knew every process. */
  adoptedMs: number;
  /** Processes that did not outlive it. */
  replaced: string[];
}

/** Kills the scheduler and starts the next one, `rounds` times. */
export async function faultScheduler(stack: Stack, rounds: number): Promise<SchedulerFault[]> {
  const faults: SchedulerFault[] = [];
  for (let round = 0; round < rounds; round++) {
    const before = await allReady(stack);
    const atMs = performance.now();
    await stack.killScheduler();
    await sleep(500);
    const startedMs = performance.now();
    stack.startScheduler();
    const after = await allReady(stack);
    const pidAfter = (id: string): number | null | undefined => after.find((other) => other.id === id)?.pid;
    const endMs = performance.now();
    faults.push({
      atMs,
      endMs,
      adoptedMs: endMs - startedMs,
      replaced: before.filter(({ id, pid }) => pidAfter(id) !== pid).map(({ id }) => id),
    });
  }
  return faults;
}

async function allReady(stack: Stack): Promise<SupervisedProcessStatus[]> {
  let processes: SupervisedProcessStatus[] = [];
  await until(
    async () => {
      processes = await stack.processes();
      return processes.length > 0 && processes.every(({ state }) => state === 'ready');
    },
    RECOVERY_MS_MAX,
    () => `not all ready: ${JSON.stringify(processes)}\n${stack.log().slice(-4000)}`,
  );
  return processes;
}

const OK = 200;

export const failed = (outcomes: Outcome[]): Outcome[] => outcomes.filter(({ status }) => status !== OK);

/** From a fault until the first answer to a request that was due after it. */
export function nextAnswerMs(outcomes: Outcome[], atMs: number): number {
  return Math.min(
    ...outcomes.filter(({ status, dueMs }) => status === OK && dueMs >= atMs).map(({ dueMs, latencyMs }) => dueMs + latencyMs - atMs),
  );
}

/** Latency of the slowest request that was in flight at any time of the fault. */
export function slowestMs(outcomes: Outcome[], { atMs, endMs }: Fault): number {
  return Math.max(
    ...outcomes.filter(({ dueMs, latencyMs }) => dueMs < endMs && dueMs + latencyMs >= atMs).map(({ latencyMs }) => latencyMs),
  );
}

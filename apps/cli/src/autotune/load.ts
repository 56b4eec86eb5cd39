import { setTimeout as sleep } from 'node:timers/promises';
import { InterleaveError, type InferenceItem } from '@app/contracts';
import type { LocalModel, LocalNode } from '../local-node';

/** Rows of each executor that wait or run: enough for whole runs, and the next ones behind them. */
const RUNS_IN_FLIGHT = 2;
const IN_FLIGHT_MIN = 16;
const REFUSED_PAUSE_MS = 5;
const SEED = 0x9e3779b9;

export interface Load {
  node: LocalNode;
  model: LocalModel;
  items: readonly InferenceItem[];
  timeoutMs: number;
  durationMs: number;
}

/** Rows a second, with as many in flight as whole runs of all executors need. */
export async function throughput(
  { node, model, items, timeoutMs, durationMs }: Load,
  { rows, executors }: { rows: number; executors: number },
): Promise<number> {
  const startMs = performance.now();
  const endMs = startMs + durationMs;
  let next = 0;
  let done = 0;
  const caller = async (): Promise<void> => {
    while (performance.now() < endMs) {
      const item = items[next++ % items.length] as InferenceItem;
      const [result] = await node.run(model, [item], timeoutMs).catch(refusedAsResult);
      if (result instanceof InterleaveError) await sleep(REFUSED_PAUSE_MS);
      else if (performance.now() <= endMs) done++;
    }
  };
  await Promise.all(Array.from({ length: Math.max(IN_FLIGHT_MIN, RUNS_IN_FLIGHT * rows * executors) }, caller));
  return (done * 1000) / durationMs;
}

/** The 99th percentile of the time of one row, in ms, with so many rows a second at random times. Refused rows took for ever. */
export async function p99Ms({ node, model, items, timeoutMs, durationMs }: Load, rowsPerSecond: number): Promise<number> {
  const random = randomNumbers();
  const startMs = performance.now();
  const times: number[] = [];
  const running: Promise<void>[] = [];
  let dueMs = 0;
  for (let i = 0; dueMs < durationMs; i++) {
    const waitMs = startMs + dueMs - performance.now();
    if (waitMs > 0) await sleep(waitMs);
    const sentMs = performance.now();
    const answered = node.run(model, [items[i % items.length] as InferenceItem], timeoutMs).catch(refusedAsResult);
    running.push(answered.then(([result]) => void times.push(result instanceof InterleaveError ? Infinity : performance.now() - sentMs)));
    dueMs += (-Math.log(1 - random()) * 1000) / rowsPerSecond;
  }
  await Promise.all(running);
  times.sort((a, b) => a - b);
  return times[Math.min(times.length - 1, Math.ceil(0.99 * times.length) - 1)] ?? Infinity;
}

function refusedAsResult(error: unknown): InterleaveError[] {
  if (error instanceof InterleaveError) return [error];
  throw error;
}

/** The same arrivals for all settings (xorshift32). */
function randomNumbers(): () => number {
  let state = SEED;
  return () => {
    state ^= state << 13;
    state ^= state >>> 17;
    state ^= state << 5;
    return (state >>> 0) / 2 ** 32;
  };
}

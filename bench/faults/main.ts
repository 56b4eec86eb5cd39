import { mkdirSync, writeFileSync } from 'node:fs';
import { cpus } from 'node:os';
import { join } from 'node:path';
import { SeededRandom } from '../../test/support/tensors';
import type { Stack } from '../../test/support/stack';
import type { Outcome } from '../online/open-loop';
import { quantile } from '../support/statistics';
import {
  failed,
  type Fault,
  faultScheduler,
  faultWorkers,
  MODEL,
  nextAnswerMs,
  realtimeWorkers,
  slowestMs,
  startFaultyNode,
  underLiveLoad,
} from './faulty-node';

/**
 * What live callers notice when parts of a node are killed or frozen under their load: an open loop with Poisson arrivals,
 * every request with a deadline of 10 s, latencies from when a request was due.
 */
const PER_SECOND = 100;
const KILLS = 30;
const STOPS = 10;
const SCHEDULERS = 10;
const SEED = 17;
const NEXT_ANSWER_LIMIT_MS = 1000;
const NOTICED_LIMIT_MS = 3000;

interface FaultRow {
  fault: string;
  times: number;
  requests: number;
  failed: number;
  /** Until the first answer to a request that came after the fault. */
  nextAnswerP50Ms: number;
  nextAnswerP99Ms: number;
  /** Slowest request that was in flight at any time of a fault. */
  slowestMs: number;
  answerP99Ms: number;
  /** SIGSTOP to the end of the process; null: not asked. */
  noticedMsMax: number | null;
  /** Until the process, or the scheduler, was there again. */
  backP50Ms: number;
  /** Processes that did not outlive their scheduler; null: not asked. */
  replaced: number | null;
}

async function main(): Promise<void> {
  const stack = await startFaultyNode();
  try {
    const workers = (await realtimeWorkers(stack)).length;
    console.log(`${MODEL}, ${PER_SECOND} requests/s, ${workers} real-time workers, seed ${SEED}`);
    await underLiveLoad(stack, { perSecond: PER_SECOND, seed: SEED }, () =>
      faultWorkers(stack, { signal: 'SIGKILL', rounds: 1, random: new SeededRandom(SEED) }),
    );
    const rows = [await workersRow(stack, 'SIGKILL', KILLS), await workersRow(stack, 'SIGSTOP', STOPS), await schedulerRow(stack)];
    report(workers, rows);
  } finally {
    await stack.stop();
  }
}

async function workersRow(stack: Stack, signal: 'SIGKILL' | 'SIGSTOP', rounds: number): Promise<FaultRow> {
  const random = new SeededRandom(SEED);
  const { result, outcomes } = await underLiveLoad(stack, { perSecond: PER_SECOND, seed: SEED }, () =>
    faultWorkers(stack, { signal, rounds, random }),
  );
  return {
    ...seenByCallers(`${signal} of a real-time worker`, result, outcomes),
    noticedMsMax: signal === 'SIGSTOP' ? Math.max(...result.map(({ atMs, endMs }) => endMs - atMs)) : null,
    backP50Ms: quantile(
      result.map(({ readyMs }) => readyMs),
      0.5,
    ),
    replaced: null,
  };
}

async function schedulerRow(stack: Stack): Promise<FaultRow> {
  const { result, outcomes } = await underLiveLoad(stack, { perSecond: PER_SECOND, seed: SEED }, () => faultScheduler(stack, SCHEDULERS));
  return {
    ...seenByCallers('SIGKILL of the scheduler', result, outcomes),
    noticedMsMax: null,
    backP50Ms: quantile(
      result.map(({ adoptedMs }) => adoptedMs),
      0.5,
    ),
    replaced: result.reduce((sum, { replaced }) => sum + replaced.length, 0),
  };
}

function seenByCallers(fault: string, faults: Fault[], outcomes: Outcome[]): Omit<FaultRow, 'noticedMsMax' | 'backP50Ms' | 'replaced'> {
  const nextMs = faults.map(({ atMs }) => nextAnswerMs(outcomes, atMs));
  return {
    fault,
    times: faults.length,
    requests: outcomes.length,
    failed: failed(outcomes).length,
    nextAnswerP50Ms: quantile(nextMs, 0.5),
    nextAnswerP99Ms: quantile(nextMs, 0.99),
    slowestMs: Math.max(...faults.map((fault) => slowestMs(outcomes, fault))),
    answerP99Ms: quantile(
      outcomes.map(({ latencyMs }) => latencyMs),
      0.99,
    ),
  };
}

function report(workers: number, rows: FaultRow[]): void {
  const ms = (value: number | null): string => (value === null ? '–' : value.toFixed(1));
  console.table(
    rows.map((row) => ({
      fault: row.fault,
      times: row.times,
      requests: row.requests,
      failed: row.failed,
      'next answer p50 ms': ms(row.nextAnswerP50Ms),
      'next answer p99 ms': ms(row.nextAnswerP99Ms),
      'slowest ms': ms(row.slowestMs),
      'answer p99 ms': ms(row.answerP99Ms),
      'noticed max ms': ms(row.noticedMsMax),
      'back p50 ms': ms(row.backP50Ms),
      replaced: row.replaced ?? '–',
    })),
  );
  console.log(`limits: failed 0; next answer p99 ${NEXT_ANSWER_LIMIT_MS} ms; noticed ${NOTICED_LIMIT_MS} ms; replaced 0`);
  mkdirSync(join('bench', 'results'), { recursive: true });
  const conditions = { model: MODEL, perSecond: PER_SECOND, workers, seed: SEED, cpu: cpus()[0]?.model, cpus: cpus().length };
  writeFileSync(join('bench', 'results', 'faults.json'), `${JSON.stringify({ ...conditions, rows }, null, 2)}\n`);
}

main().catch((error: unknown) => {
  console.error(error);
  process.exitCode = 1;
});

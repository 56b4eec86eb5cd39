import { fork, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { echoRow, Workspace } from '../../../apps/runner/src/testing/workspace';

const ROWS_PER_RUNNER = 1_000;
const BATCH = { chunkRows: 16, chunkConcurrency: 2 };
/** Begin and end are left out: chunks do not end together. */
const FROM_SHARE = 0.15;
const TO_SHARE = 0.85;

interface Step {
  runners: number;
  rowsPerSecond: number;
  /** 1: as many rows for each runner as one alone does. */
  ofLinear: number;
}

/** P8: rows per second of one batch over runners whose engine sleeps, so that only the queue, the store and the owner can be short. */
export async function scaling(counts: number[]): Promise<{ steps: Step[] }> {
  const steps: Step[] = [];
  for (const runners of counts) {
    const rowsPerSecond = await rateOf(runners);
    const alone = steps[0] ?? { runners, rowsPerSecond };
    steps.push({ runners, rowsPerSecond, ofLinear: rowsPerSecond / runners / (alone.rowsPerSecond / alone.runners) });
  }
  return { steps };
}

async function rateOf(runners: number): Promise<number> {
  const workspace = new Workspace(BATCH);
  await workspace.redis.start();
  const children = await Promise.all(
    Array.from({ length: runners }, (_, index) => startRunner(workspace.directory, `bench-${process.pid}-${index}`)),
  );
  try {
    const rows = ROWS_PER_RUNNER * runners;
    const inputs = Array.from({ length: rows }, (_, row) => echoRow(row, 'x'.repeat(1 + (row % 24))));
    const id = await workspace.submit(inputs);
    const reached = async (share: number): Promise<{ atMs: number; completed: number }> => {
      const view = await workspace.until(id, ({ request_counts: { completed } }) => completed >= share * rows);
      return { atMs: performance.now(), completed: view.request_counts.completed };
    };
    const from = await reached(FROM_SHARE);
    const to = await reached(TO_SHARE);
    return ((to.completed - from.completed) / (to.atMs - from.atMs)) * 1000;
  } finally {
    await Promise.all(children.map(end));
    await workspace.close();
  }
}

async function startRunner(directory: string, name: string): Promise<ChildProcess> {
  const child = fork(join(__dirname, 'sleeping-runner.js'), [directory, name, JSON.stringify(BATCH)], {
    stdio: ['ignore', 'ignore', 'inherit', 'ipc'],
  });
  await Promise.race([
    once(child, 'message'),
    sleep(60_000, undefined, { ref: false }).then(() => Promise.reject(new Error(`${name} is not ready`))),
  ]);
  return child;
}

async function end(child: ChildProcess): Promise<void> {
  const gone = once(child, 'exit');
  child.kill('SIGKILL');
  await gone;
}

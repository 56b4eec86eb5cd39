import { setTimeout as sleep } from 'node:timers/promises';
import { fetchStatus } from '@app/process';
import { join } from 'node:path';
import type { Stack } from '../../../test/support/stack';
import { outputOf, submit, untilDone } from '../deterministic-batch';
import { Fleet, signalNode } from '../fleet';
import { referenceOutput } from './batch-kills';

const BATCH_MS_MAX = 20 * 60_000;
const STATUS_MS_MAX = 5_000;
const FENCED_MS_MAX = 30_000;

export interface PausedOwner {
  rows: number;
  pausedSeconds: number;
  /** Another node owned the batch when the first one went on. */
  isTakenOver: boolean;
  /** From when the first one went on and all rows were done until it says that the batch is not its own; null: it never does. */
  fencedSeconds: number | null;
  isIdentical: boolean;
  wrongRows: number;
  chunks: Record<string, number>;
}

/** P6: all processes of the batch's owner stop for longer than its lock lasts and then go on where they were. */
export async function pausedOwner({ rows, pausedMs }: { rows: number; pausedMs: number }): Promise<PausedOwner> {
  const fleet = await Fleet.start({ nodes: 2 });
  try {
    const reference = await referenceOutput(fleet, rows);
    const id = await submit(fleet.node(0), rows);
    await untilDone(fleet.nodes, id, { share: 0.1, timeoutMs: BATCH_MS_MAX });
    const owner = await ownerOf(fleet.nodes, id);
    const others = fleet.nodes.filter((node) => node !== owner);
    signalNode(owner, 'SIGSTOP');
    await sleep(pausedMs);
    const isTakenOver =
      (await owns(others[0] as Stack, id)) || (await untilDone(others, id, { share: 0, timeoutMs: BATCH_MS_MAX })).status === 'completed';
    signalNode(owner, 'SIGCONT');
    const view = await untilDone(others, id, { share: 1, timeoutMs: BATCH_MS_MAX });
    const fencedSeconds = await secondsUntilFenced(owner, id);
    await owner.ready();
    const output = await outputOf(owner, view, rows);
    return {
      rows,
      pausedSeconds: pausedMs / 1000,
      isTakenOver,
      fencedSeconds,
      isIdentical: output.sha256 === reference.sha256,
      wrongRows: output.wrongRows,
      chunks: await fleet.chunkCounts(),
    };
  } finally {
    await fleet.stop();
  }
}

async function secondsUntilFenced(owner: Stack, id: string): Promise<number | null> {
  const startMs = performance.now();
  while (performance.now() - startMs < FENCED_MS_MAX) {
    if (!(await owns(owner, id))) return (performance.now() - startMs) / 1000;
    await sleep(100);
  }
  return null;
}

async function ownerOf(nodes: readonly Stack[], id: string): Promise<Stack> {
  for (;;) {
    for (const node of nodes) if (await owns(node, id)) return node;
    await sleep(100);
  }
}

async function owns(node: Stack, id: string): Promise<boolean> {
  const status = fetchStatus('runner', join(node.runDir, 'runner.status.sock'), STATUS_MS_MAX);
  return status.then(
    ({ batches }) => batches.some((batch) => batch.id === id),
    () => false,
  );
}

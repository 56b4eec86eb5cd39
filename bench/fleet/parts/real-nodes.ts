import { setTimeout as sleep } from 'node:timers/promises';
import { submit, untilDone } from '../deterministic-batch';
import { CHUNK_ROWS, Fleet } from '../fleet';

/** Begin and end are left out: the rows are validated first, and chunks do not end together. */
const FROM_SHARE = 0.15;
const TO_SHARE = 0.85;
const LOOK_MS = 100;
const BATCH_MS_MAX = 20 * 60_000;

/** P8: rows per second of one batch over one and over two whole nodes, each on one CPU, in turns. */
export async function realNodes(options: { rows: number; rounds: number }): Promise<{ one: number[]; two: number[]; ratio: number }> {
  const rates: Record<1 | 2, number[]> = { 1: [], 2: [] };
  for (let round = 0; round < options.rounds; round++)
    for (const nodes of [1, 2] as const) rates[nodes].push(await rateOf(nodes, options.rows * nodes));
  const mean = (values: number[]): number => values.reduce((sum, value) => sum + value, 0) / values.length;
  return { one: rates[1], two: rates[2], ratio: mean(rates[2]) / mean(rates[1]) };
}

async function rateOf(nodes: number, rows: number): Promise<number> {
  const fleet = await Fleet.start({ nodes });
  try {
    const id = await submit(fleet.node(0), rows);
    // The view of a batch in a bucket is as old as its owner's last write; the counters of the runners are not.
    const reached = async (share: number): Promise<{ atMs: number; chunks: number }> => {
      for (;;) {
        const chunks = (await fleet.chunkCounts())['committed'] ?? 0;
        if (chunks * CHUNK_ROWS >= share * rows) return { atMs: performance.now(), chunks };
        await sleep(LOOK_MS);
      }
    };
    const from = await reached(FROM_SHARE);
    const to = await reached(TO_SHARE);
    await untilDone(fleet.nodes, id, { share: 1, timeoutMs: BATCH_MS_MAX });
    return (((to.chunks - from.chunks) * CHUNK_ROWS) / (to.atMs - from.atMs)) * 1000;
  } finally {
    await fleet.stop();
  }
}

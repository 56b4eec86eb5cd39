import { Fleet } from '../fleet';
import { submit, untilDone } from '../deterministic-batch';

/** Begin and end are left out: the rows are validated first, and chunks do not end together. */
const FROM_SHARE = 0.15;
const TO_SHARE = 0.85;
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
    const reached = async (share: number): Promise<{ atMs: number; completed: number }> => {
      const view = await untilDone(fleet.nodes, id, { share, timeoutMs: BATCH_MS_MAX });
      return { atMs: performance.now(), completed: view.request_counts.completed };
    };
    const from = await reached(FROM_SHARE);
    const to = await reached(TO_SHARE);
    return ((to.completed - from.completed) / (to.atMs - from.atMs)) * 1000;
  } finally {
    await fleet.stop();
  }
}

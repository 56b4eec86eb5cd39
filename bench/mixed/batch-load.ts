import { once } from 'node:events';
import { WorkerPool } from '@app/worker-pool';
import { answer, nowMs, rowsOf, tokensOf, untilReady, type RowMix } from './rows';

/** Comes as the first message; the second one, whatever it is, ends the load. */
export interface BatchLoad {
  runDir: string;
  model: string;
  rows: RowMix;
  rowsInFlight: number;
}

export interface BatchAnswer {
  /** On the clock of `nowMs`. */
  answeredMs: number;
  tokens: number;
}

/** Keeps so many rows in flight that the batch worker never wants for work. */
async function main(): Promise<void> {
  const [load] = (await once(process, 'message')) as [BatchLoad];
  process.once('disconnect', () => process.exit());
  const pool = new WorkerPool({ lane: 'batch', runDir: load.runDir });
  await untilReady(pool, load.model);
  const items = rowsOf(load.rows);
  const answers: BatchAnswer[] = [];
  let [next, isEnded] = [0, false];
  process.once('message', () => (isEnded = true));
  const keepSending = async (): Promise<void> => {
    for (let item = items[0]; !isEnded && item !== undefined; item = items[next++ % items.length]) {
      const [result] = await pool.infer({ model: load.model, version: null, items: [item], timeoutMs: null, priority: 0, signal: null });
      if (result instanceof Error) throw result;
      answers.push({ answeredMs: nowMs(), tokens: tokensOf(item) });
    }
  };
  const senders = Array.from({ length: load.rowsInFlight }, keepSending);
  process.send?.('ready');
  await Promise.all(senders);
  await answer(answers);
  await pool.close();
  process.disconnect();
}

void main().catch((error: unknown) => {
  console.error(error);
  process.exit(1);
});

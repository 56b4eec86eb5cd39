import { once } from 'node:events';
import { InterleaveError, type InferenceItem } from '@app/contracts';
import { isolateFront } from '@app/native';
import { WorkerPool } from '@app/worker-pool';
import { SeededRandom } from '../../test/support/tensors';
import { answer, nowMs, rowsOf, untilReady, type RowMix } from './rows';

/** Comes as the first message; the second one, whatever it is, ends the load. */
export interface LiveLoad {
  runDir: string;
  model: string;
  rows: RowMix;
  /** Null: a closed loop, each row when the one before is answered. */
  perSecond: number | null;
  timeoutMs: number;
}

export interface LiveSample {
  /** When the row was sent, on the clock of `nowMs`. */
  sentMs: number;
  /** How much later than the time of the Poisson process it was sent. */
  lateMs: number;
  /** From the call to the client's library until its answer; NaN: refused or failed. */
  latencyMs: number;
  /** As the worker measured it: waiting and run. */
  queueMs: number;
  runMs: number;
  error: string | null;
}

/** Open loop: rows are sent at the times of a Poisson process, whatever became of the earlier ones. */
async function main(): Promise<void> {
  const [load] = (await once(process, 'message')) as [LiveLoad];
  // A bench that is ended early leaves no load behind.
  process.once('disconnect', () => process.exit());
  isolateFront();
  const pool = new WorkerPool({ lane: 'realtime', runDir: load.runDir });
  await untilReady(pool, load.model);
  const items = rowsOf(load.rows);
  const random = new SeededRandom(load.rows.seed);
  const answers: Promise<LiveSample>[] = [];
  let isEnded = false;
  process.once('message', () => (isEnded = true));
  process.send?.('ready');
  for (let dueMs = nowMs(); !isEnded; dueMs += gapMs(load, random)) {
    const waitMs = dueMs - nowMs();
    if (waitMs > 0) await new Promise((resolve) => setTimeout(resolve, waitMs));
    const item = items[answers.length % items.length];
    if (item !== undefined) answers.push(send(pool, load, item, dueMs));
    if (load.perSecond === null) await answers.at(-1);
  }
  await answer(await Promise.all(answers));
  await pool.close();
  process.disconnect();
}

const gapMs = ({ perSecond }: LiveLoad, random: SeededRandom): number =>
  perSecond === null ? 0 : (-Math.log(1 - random.next()) * 1000) / perSecond;

async function send(pool: WorkerPool, { model, timeoutMs }: LiveLoad, item: InferenceItem, dueMs: number): Promise<LiveSample> {
  const sentMs = nowMs();
  const sample = { sentMs, lateMs: sentMs - dueMs, latencyMs: NaN, queueMs: NaN, runMs: NaN };
  try {
    const [result] = await pool.infer({ model, version: null, items: [item], timeoutMs, priority: 0, signal: null });
    if (result === undefined || result instanceof InterleaveError) return { ...sample, error: result?.message ?? 'no result' };
    return {
      ...sample,
      latencyMs: nowMs() - sentMs,
      queueMs: result.timing.queueUs / 1000,
      runMs: result.timing.runUs / 1000,
      error: null,
    };
  } catch (error) {
    return { ...sample, error: (error as Error).message };
  }
}

void main();

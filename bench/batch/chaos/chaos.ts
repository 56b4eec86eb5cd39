import { existsSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { Stack } from '../../../test/support/stack';
import { SeededRandom } from '../../../test/support/tensors';
import { outputOf, submit, untilDone } from '../../fleet/deterministic-batch';
import { MODEL } from '../../fleet/fleet';

const BATCH_MS_MAX = 60 * 60_000;
const GAP_MS_MIN = 300;
/** What is killed, in an order that the seed decides; `redis-emptied` comes once. */
const TARGETS = ['api', 'runner', 'batch-worker', 'realtime-worker', 'redis', 'scheduler', 'everything'] as const;
type Target = (typeof TARGETS)[number] | 'redis-emptied';

export interface ChaosOptions {
  rows: number;
  kills: number;
  seed: number;
  /** Longest time between two kills. */
  gapMsMax: number;
}

export interface ChaosFigures {
  rows: number;
  seed: number;
  kills: Record<string, number>;
  /** Batches that were needed to get so many kills; each had the same rows. */
  batches: number;
  /** To an undisturbed run, byte for byte: each of them. */
  areIdentical: boolean;
  bytes: number;
  wrongRows: number;
  undisturbedSeconds: number;
  disturbedSeconds: number;
}

/** Kills parts of one node, at moments that the seed decides, until `kills` of them fell into running batches. */
export async function chaos(options: ChaosOptions): Promise<ChaosFigures> {
  const { rows, kills, seed } = options;
  const random = new SeededRandom(seed);
  const stack = await Stack.start({ models: [MODEL], config: 'calibration: { budgetMs: 0 }' });
  try {
    const undisturbed = await runBatch(stack, rows, async () => undefined);
    const figures: ChaosFigures = {
      rows,
      seed,
      kills: {},
      batches: 0,
      areIdentical: true,
      bytes: undisturbed.output.bytes,
      wrongRows: undisturbed.output.wrongRows,
      undisturbedSeconds: undisturbed.seconds,
      disturbedSeconds: 0,
    };
    let done = 0;
    while (done < kills) {
      const { output, seconds } = await runBatch(stack, rows, async (isOver) => {
        while (done < kills) {
          await sleep(GAP_MS_MIN + random.next() * (options.gapMsMax - GAP_MS_MIN));
          if (isOver()) return;
          const target = done === Math.floor(kills / 2) ? 'redis-emptied' : (TARGETS[random.integer(0, TARGETS.length - 1)] ?? 'runner');
          await kill(stack, target);
          figures.kills[target] = (figures.kills[target] ?? 0) + 1;
          done += 1;
        }
      });
      figures.batches += 1;
      figures.disturbedSeconds += seconds;
      figures.areIdentical &&= output.sha256 === undisturbed.output.sha256;
      figures.wrongRows += output.wrongRows;
    }
    return figures;
  } finally {
    await stack.stop();
  }
}

async function runBatch(
  stack: Stack,
  rows: number,
  disturb: (isOver: () => boolean) => Promise<void>,
): Promise<{ output: Awaited<ReturnType<typeof outputOf>>; seconds: number }> {
  const began = performance.now();
  const id = await submit(stack, rows);
  let isOver = false;
  const [view] = await Promise.all([
    untilDone([stack], id, { share: 1, timeoutMs: BATCH_MS_MAX }).finally(() => (isOver = true)),
    disturb(() => isOver),
  ]);
  const seconds = (performance.now() - began) / 1000;
  await stack.ready();
  return { output: await outputOf(stack, view, rows), seconds };
}

/** SIGKILL, as often as the process is there; the scheduler of a node that lost it is started again, as its operator would do it. */
async function kill(stack: Stack, target: Target): Promise<void> {
  if (target === 'scheduler') await stack.killScheduler();
  else if (target === 'everything') await stack.lose();
  else if (target === 'redis-emptied') await emptyRedis(stack);
  else killWhere(stack, (id) => (target.endsWith('-worker') ? id.endsWith(target.replace('-worker', '')) : id === target));
  if (target === 'scheduler' || target === 'everything') stack.startScheduler();
}

/** As a disk that lost its data: nothing starts it again before its files are gone. */
async function emptyRedis(stack: Stack): Promise<void> {
  process.kill(stack.schedulerPid, 'SIGSTOP');
  try {
    killWhere(stack, (id) => id === 'redis');
    await sleep(100);
    rmSync(join(stack.dir, 'data', 'redis', 'appendonlydir'), { recursive: true });
  } finally {
    process.kill(stack.schedulerPid, 'SIGCONT');
  }
}

function killWhere(stack: Stack, isMeant: (processId: string) => boolean): void {
  for (const name of readdirSync(stack.runDir).filter((file) => file.endsWith('.pid.json'))) {
    if (!isMeant(name.slice(0, -'.pid.json'.length))) continue;
    const { pid } = JSON.parse(readFileSync(join(stack.runDir, name), 'utf8')) as { pid: number };
    if (existsSync(`/proc/${pid}`)) process.kill(pid, 'SIGKILL');
  }
}

import { once } from 'node:events';
import { infer } from '../support/infer-request';
import { LENGTH_MIXES } from '../support/lengths';
import { SeededRandom } from '../../test/support/tensors';
import { summarize, type StepTimes } from './load-steps';
import { OpenLoop } from './open-loop';

/** One load for the generator; the answer is a `Step`. */
export interface Load extends StepTimes {
  url: string;
  model: string;
  output: string;
  mix: string;
  seed: number;
  load: number;
  perSecond: number;
}

const REQUESTS = 2000;

/** The load generator, in a process of its own: a `Load` comes as a message, its `Step` goes back. */
async function main(): Promise<void> {
  const [load] = (await once(process, 'message')) as [Load];
  const random = new SeededRandom(load.seed);
  const lengthOf = LENGTH_MIXES[load.mix] ?? (() => 1);
  const headers = { 'x-interleave-timeout-ms': String(load.deadlineMs) };
  const requests = Array.from({ length: REQUESTS }, () => {
    const ids = Array.from({ length: lengthOf(random) }, () => random.integer(1000, 30_000));
    return infer({ model: load.model, ids, output: load.output, headers });
  });
  const loop = new OpenLoop(load.url);
  const before = process.cpuUsage();
  const startMs = performance.now();
  const outcomes = await loop.run(requests, { perSecond: load.perSecond, durationMs: load.warmMs + load.durationMs, random });
  const { user, system } = process.cpuUsage(before);
  loop.close();
  process.send?.(summarize(load.load, outcomes, { ...load, startMs, generatorCpuMs: (user + system) / 1000 }));
  process.disconnect();
}

void main();

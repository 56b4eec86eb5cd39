import { once } from 'node:events';
import { SeededRandom } from '../../test/support/tensors';
import { summarize, type Step, type StepTimes } from '../online/load-steps';
import { OpenLoop } from '../online/open-loop';
import { embeddings, type LongTexts } from './long-texts';

export interface Load extends StepTimes {
  url: string;
  seed: number;
  requests: LongTexts;
  perSecond: number;
  /** Requests of one short text beside them. */
  smallPerSecond: number;
}

export interface Steps {
  large: Step;
  small: Step;
}

/** More than are in flight at once: few of them meet themselves. */
const REQUESTS = 1500;

/** Answers each `Load` that comes as a message with its `Steps`, until the connection ends. */
async function main(): Promise<void> {
  const loop: { of: OpenLoop | null } = { of: null };
  const known = new Map<string, Buffer[]>();
  process.on('disconnect', () => process.exit());
  for (;;) {
    const [load] = (await once(process, 'message')) as [Load];
    loop.of ??= new OpenLoop(load.url);
    const key = JSON.stringify([load.requests, load.deadlineMs]);
    if (!known.has(key)) known.set(key, requestsOf(load));
    process.send?.(await generate(loop.of, load, known.get(key) ?? []));
  }
}

function requestsOf({ seed, requests, deadlineMs }: Load): Buffer[] {
  const random = new SeededRandom(seed);
  const headers = { 'x-interleave-timeout-ms': String(deadlineMs) };
  return Array.from({ length: requests.areEqual ? 1 : REQUESTS }, () => embeddings(requests, random, headers));
}

async function generate(loop: OpenLoop, load: Load, large: Buffer[]): Promise<Steps> {
  const { seed, warmMs, durationMs, deadlineMs, perSecond, smallPerSecond, requests } = load;
  const headers = { 'x-interleave-timeout-ms': String(deadlineMs) };
  const random = new SeededRandom(seed);
  const small = Array.from({ length: 256 }, () =>
    embeddings({ ...requests, texts: 1, charactersMin: 20, areEqual: false }, random, headers),
  );
  const before = process.cpuUsage();
  const startMs = performance.now();
  const time = { durationMs: warmMs + durationMs, random };
  const [largeOutcomes, smallOutcomes] = await Promise.all([
    loop.run(large, { ...time, perSecond }),
    loop.run(small, { ...time, perSecond: smallPerSecond }),
  ]);
  const { user, system } = process.cpuUsage(before);
  const times = { warmMs, durationMs, deadlineMs, startMs, generatorCpuMs: (user + system) / 1000 };
  return { large: summarize(NaN, largeOutcomes, times), small: summarize(NaN, smallOutcomes, times) };
}

void main();

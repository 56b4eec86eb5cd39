import { setTimeout as sleep } from 'node:timers/promises';
import { Scrape } from '../../test/support/metrics';
import { until } from '../../test/support/stack';
import { figuresOf, type LoadFigures, type MixedFigures, type PeerFigures } from './figures';
import { jobsOf } from './jobs';
import { send, type Load, type Pattern } from './load/load';
import type { PeerServer } from './peer-server';

export const PARTS = ['start', 'idle', 'many', 'open', 'mixed'] as const;
export type Part = (typeof PARTS)[number];

export const DEADLINE_MS = 500;
export const CALLERS = 32;
export const LOADS = [1, 3, 10];
/** Of what the same server answered to `CALLERS` callers. */
export const LIVE_SHARE = 0.3;
const WARM_MS = 2000;
const SEED = 29;
/** Lets a server come to rest after a load that was too much. */
const REST_MS = 1000;
const LANES = 2;
const SETTLED_MS_MAX = 300_000;

/** Runs the parts on a server that has answered. */
export async function measure(server: PeerServer, parts: readonly Part[], seconds: number): Promise<PeerFigures> {
  const durationMs = seconds * 1000;
  const load = async (pattern: Pattern, timeoutMs: number | null): Promise<LoadFigures> => {
    await sleep(REST_MS);
    return figuresOf(await send(loadOf(server, pattern, timeoutMs, durationMs)), { durationMs, deadlineMs: DEADLINE_MS });
  };
  await settle(server);
  const figures: PeerFigures = {};
  if (parts.includes('start')) figures.firstAnswerMs = server.firstAnswerMs;
  if (parts.includes('idle')) figures.idle = await load({ callers: 1 }, null);
  if (parts.some((part) => ['many', 'open', 'mixed'].includes(part))) figures.many = await load({ callers: CALLERS }, null);
  const capacity = figures.many?.answeredPerSecond ?? NaN;
  if (parts.includes('mixed')) figures.mixed = await mixed(server, LIVE_SHARE * capacity, durationMs);
  if (parts.includes('open')) {
    figures.open = {};
    for (const share of LOADS) figures.open[share] = await load({ perSecond: share * capacity, giveUpMs: DEADLINE_MS }, DEADLINE_MS);
  }
  if (parts.includes('start')) figures.memoryMiB = server.memory();
  return figures;
}

/** Interleave measures what runs cost when it has a new model, in time that live requests leave. */
async function settle({ peer, url }: PeerServer): Promise<void> {
  if (peer.name !== 'interleave') return;
  await until(
    async () => (await Scrape.of(url)).sum('interleave_calibration_state', { state: 'measured' }) === LANES,
    SETTLED_MS_MAX,
    () => 'the model is not measured',
  );
}

async function mixed(server: PeerServer, livePerSecond: number, durationMs: number): Promise<NonNullable<PeerFigures['mixed']>> {
  const live = async (): Promise<LoadFigures> => {
    const outcomes = await send(loadOf(server, { perSecond: livePerSecond, giveUpMs: null }, null, durationMs));
    return figuresOf(outcomes, { durationMs, deadlineMs: DEADLINE_MS });
  };
  await sleep(REST_MS);
  const alone = await live();
  const jobs: MixedFigures[] = [];
  for (const { name, run } of jobsOf(server)) {
    await sleep(REST_MS);
    const [figures, jobRowsPerSecond] = await run(live, { warmMs: WARM_MS, durationMs });
    jobs.push({ job: name, live: figures, jobRowsPerSecond });
  }
  return { livePerSecond, alone, jobs };
}

const loadOf = ({ peer, url }: PeerServer, pattern: Pattern, timeoutMs: number | null, durationMs: number): Load => ({
  peer: peer.name,
  url,
  pattern,
  timeoutMs,
  seed: SEED,
  warmMs: WARM_MS,
  durationMs,
});

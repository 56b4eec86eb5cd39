import { setTimeout as sleep } from 'node:timers/promises';
import { submitEmbeddings } from '../../test/support/batch-job';
import { Scrape } from '../../test/support/metrics';
import { until } from '../../test/support/stack';
import { figuresOf, type LoadFigures } from './figures';
import { send, type Pattern } from './load/load';
import { requestRows } from './load/rows';
import type { PeerServer } from './peer-server';

interface Times {
  warmMs: number;
  durationMs: number;
}

/** An offline job beside a live load; resolves with what the live load saw and with the job's rows per second meanwhile. */
interface Job {
  name: string;
  run(live: () => Promise<LoadFigures>, times: Times): Promise<[LoadFigures, number]>;
}

const SEED = 31;
const MODEL = 'encoder-small';
/** More than any server runs in a part. */
const BATCH_ROWS = 20_000;
const STARTED_MS_MAX = 60_000;

/**
 * Where there is no batch lane, users let a script send rows, so many at a time. Interleave's live endpoint is measured behind a dispatcher
 * as well that knows metrics alone.
 */
export function jobsOf(server: PeerServer): Job[] {
  const script = (name: string, pattern: Pattern): Job => ({
    name,
    run: (live, times) => besideScript(server, pattern, live, times),
  });
  if (server.peer.name === 'interleave') {
    const batch: Job = { name: 'batch', run: (live, times) => besideBatch(server, live, times) };
    return [batch, script('metric-gated dispatcher', { callers: 32, gate: true })];
  }
  return [4, 32].map((callers) => script(`script, ${callers} at a time`, { callers }));
}

async function besideScript(
  { peer, url }: PeerServer,
  pattern: Pattern,
  live: () => Promise<LoadFigures>,
  times: Times,
): Promise<[LoadFigures, number]> {
  const rows = send({ peer: peer.name, url, pattern, timeoutMs: null, seed: SEED, ...times });
  const figures = await live();
  return [figures, figuresOf(await rows, { ...times, deadlineMs: Infinity }).answeredPerSecond];
}

async function besideBatch({ url, place }: PeerServer, live: () => Promise<LoadFigures>, times: Times): Promise<[LoadFigures, number]> {
  const id = await submitEmbeddings({ url, dir: place.folder }, MODEL, requestRows(BATCH_ROWS, SEED));
  const rowsDone = async (): Promise<number> => (await Scrape.of(url)).sum('interleave_items_total', { lane: 'batch', outcome: 'ok' });
  const before = await rowsDone();
  await until(
    async () => (await rowsDone()) > before,
    STARTED_MS_MAX,
    () => 'the batch does not start',
  );
  const rows = (async () => {
    await sleep(times.warmMs);
    const first = await rowsDone();
    await sleep(times.durationMs);
    return (((await rowsDone()) - first) * 1000) / times.durationMs;
  })();
  const figures = await live();
  const rowsPerSecond = await rows;
  await fetch(`${url}/v1/batches/${id}/cancel`, { method: 'POST' });
  return [figures, rowsPerSecond];
}

import { setTimeout as sleep } from 'node:timers/promises';
import type { Redis } from 'ioredis';
import { CHUNK_QUEUE } from '@app/queues';
import { submit, untilDone } from '../deterministic-batch';
import { Fleet } from '../fleet';

const ROWS = 20_000;
const LOOK_MS = 50;
/** After the kill; more than a lock lasts. */
const WATCH_MS = 40_000;
const BATCH_MS_MAX = 20 * 60_000;

/** The lock of each chunk that is being done, by job: who has it, as BullMQ names a consumer. */
type Holders = Map<string, string>;

interface Look {
  atMs: number;
  holders: Holders;
}

/** P3: one of two nodes is killed; seconds until each of its chunks has run or runs on the other one. */
export async function lostChunks(): Promise<{ chunks: number; seconds: number[]; secondsMax: number }> {
  const fleet = await Fleet.start({ nodes: 2 });
  try {
    const id = await submit(fleet.node(0), ROWS);
    await untilDone(fleet.nodes, id, { share: 0.1, timeoutMs: BATCH_MS_MAX });
    const seconds = await fleet.withRedis(async (redis) => {
      const queue = await chunkKeys(redis);
      const before = await untilBothWork(redis, queue);
      await fleet.node(1).lose();
      return waits(before, await watch(redis, queue));
    });
    return { chunks: seconds.length, seconds, secondsMax: Math.max(...seconds) };
  } finally {
    await fleet.stop();
  }
}

async function chunkKeys(redis: Redis): Promise<string> {
  const [key] = await redis.keys(`*:${CHUNK_QUEUE}:meta`);
  if (key === undefined) throw new Error('expected the queue of chunks in Redis');
  return key.slice(0, -':meta'.length);
}

async function untilBothWork(redis: Redis, queue: string): Promise<Holders> {
  for (;;) {
    const held = await holders(redis, queue);
    if (new Set(held.values()).size >= 2) return held;
    await sleep(LOOK_MS);
  }
}

async function watch(redis: Redis, queue: string): Promise<Look[]> {
  const looks: Look[] = [];
  const startMs = performance.now();
  while (performance.now() - startMs < WATCH_MS) {
    const held = await holders(redis, queue);
    looks.push({ atMs: performance.now() - startMs, holders: held });
    await sleep(LOOK_MS);
  }
  return looks;
}

async function holders(redis: Redis, queue: string): Promise<Holders> {
  const jobs = await redis.lrange(`${queue}:active`, 0, -1);
  const tokens = jobs.length === 0 ? [] : await redis.mget(jobs.map((job) => `${queue}:${job}:lock`));
  return new Map(jobs.map((job, index) => [job, (tokens[index] ?? '').replace(/:\d+$/, '')]));
}

/** The consumer that takes up chunks after the kill is the one that lives; what the other one had held is lost. */
function waits(before: Holders, looks: Look[]): number[] {
  const living = new Set<string>();
  for (const { holders: held } of looks)
    for (const [job, holder] of held) if (holder !== '' && before.get(job) !== holder) living.add(holder);
  const lost = [...before].filter(([, holder]) => !living.has(holder)).map(([job]) => job);
  return lost.map((job) => {
    // In between it waits; one that is done within a look is never seen to run.
    const seen = looks.find(({ holders: held }) => living.has(held.get(job) ?? '')) ?? looks.find(({ holders: held }) => !held.has(job));
    return seen === undefined ? Infinity : seen.atMs / 1000;
  });
}

import { spawn } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { SeededRandom } from '../../../test/support/tensors';
import type { Stack } from '../../../test/support/stack';
import { OpenLoop, type Outcome } from '../../online/open-loop';
import { infer } from '../../support/infer-request';
import { quantile } from '../../support/statistics';
import { Fleet } from '../fleet';

const SEED = 14;
const MODEL = 'encoder-small';
const TOKENS = 64;
const SLOW_NODE = 1;
/** Long enough for weights, which are averages over seconds. */
const WARM_MS = 10_000;
const ROUND_MS = 20_000;
const ROUNDS = 3;

export interface PolicyFigures {
  requests: number;
  failed: number;
  p50Ms: number;
  p99Ms: number;
  /** Part of the requests that the slow node answered. */
  slowShare: number;
}

/**
 * One of three nodes has its live worker stopped for two thirds of the time; requests go through an Envoy with the weights as
 * shipped, and one that gives each node the same, in turns.
 */
export async function weights(perSecond: number): Promise<Record<'weighted' | 'roundRobin', PolicyFigures> & { p99Ratio: number }> {
  const fleet = await Fleet.start({ nodes: 3, model: MODEL, withEnvoy: true });
  const slow = fleet.node(SLOW_NODE);
  const brake = brakeOf(slow);
  try {
    const proxies = { weighted: fleet.url, roundRobin: await fleet.openRoundRobin() };
    const found: Record<keyof typeof proxies, { outcomes: Outcome[]; slowAnswers: number }> = {
      weighted: { outcomes: [], slowAnswers: 0 },
      roundRobin: { outcomes: [], slowAnswers: 0 },
    };
    for (let round = 0; round < ROUNDS; round++) {
      for (const policy of ['weighted', 'roundRobin'] as const) {
        await load(proxies[policy], perSecond, WARM_MS);
        const before = await answersOf(slow);
        found[policy].outcomes.push(...(await load(proxies[policy], perSecond, ROUND_MS)));
        found[policy].slowAnswers += (await answersOf(slow)) - before;
        await sleep(1_000);
      }
    }
    const [weighted, roundRobin] = [figures(found.weighted), figures(found.roundRobin)];
    return { weighted, roundRobin, p99Ratio: weighted.p99Ms / roundRobin.p99Ms };
  } finally {
    brake.kill('SIGKILL');
    await fleet.stop();
  }
}

/** Lets the node's live worker run for 10 of every 30 ms. */
function brakeOf(node: Stack): ReturnType<typeof spawn> {
  const { pid } = JSON.parse(readFileSync(join(node.runDir, 'part-0-realtime.pid.json'), 'utf8')) as { pid: number };
  const script = `
    const cell = new Int32Array(new SharedArrayBuffer(4));
    for (;;) {
      process.kill(${pid}, 'SIGSTOP');
      Atomics.wait(cell, 0, 0, 20);
      process.kill(${pid}, 'SIGCONT');
      Atomics.wait(cell, 0, 0, 10);
    }`;
  return spawn(process.execPath, ['-e', script], { stdio: 'ignore' });
}

async function load(url: string, perSecond: number, durationMs: number): Promise<Outcome[]> {
  const ids = Array.from({ length: TOKENS }, (_, i) => 5 + i);
  const loop = new OpenLoop(url);
  try {
    const requests = [infer({ model: MODEL, ids, output: 'sentence_embedding', headers: {} })];
    return await loop.run(requests, { perSecond, durationMs, random: new SeededRandom(SEED) });
  } finally {
    loop.close();
  }
}

/** Live requests that the node has answered so far. */
async function answersOf(node: Stack): Promise<number> {
  const text = await (await fetch(`${node.url}/metrics`)).text();
  let answers = 0;
  for (const [, value] of text.matchAll(/^interleave_requests_total\{[^}]*status="200"[^}]*\} (\d+)/gm)) answers += Number(value);
  return answers;
}

function figures({ outcomes, slowAnswers }: { outcomes: Outcome[]; slowAnswers: number }): PolicyFigures {
  const latencies = outcomes.map(({ latencyMs }) => latencyMs);
  return {
    requests: outcomes.length,
    failed: outcomes.filter(({ status }) => status !== 200).length,
    p50Ms: quantile(latencies, 0.5),
    p99Ms: quantile(latencies, 0.99),
    slowShare: slowAnswers / outcomes.length,
  };
}

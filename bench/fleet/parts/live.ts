import { setTimeout as sleep } from 'node:timers/promises';
import { SeededRandom } from '../../../test/support/tensors';
import { OpenLoop, type Outcome } from '../../online/open-loop';
import { infer } from '../../support/infer-request';
import { quantile } from '../../support/statistics';
import { outputOf, submit, untilDone, viewOf } from '../deterministic-batch';
import { Fleet, MODEL } from '../fleet';
import { referenceOutput } from './batch-kills';

const SEED = 14;
const REQUESTS = 500;
const TOKENS_MAX = 64;
const STEADY_MS = 10_000;
const NODE_DOWN_MS = 1_000;
const BATCH_MS_MAX = 20 * 60_000;

export interface LiveFigures {
  requests: number;
  /** By status; 0: no answer. */
  errors: Record<string, number>;
  p50Ms: number;
  p99Ms: number;
  /** Of requests that were due in the second after a fault. */
  faultP99Ms: number;
  faults: number;
}

interface Load {
  nodes: number;
  perSecond: number;
}

/** P1: nodes behind Envoy are lost one after the other under an open loop. */
export async function nodeKills(options: Load & { kills: number }): Promise<LiveFigures> {
  const fleet = await Fleet.start({ nodes: options.nodes, withEnvoy: true });
  try {
    const faultsMs: number[] = [];
    const outcomes = await underLoad(fleet, options.perSecond, async () => {
      for (let kill = 0; kill < options.kills; kill++) {
        faultsMs.push(performance.now());
        await fleet.loseNode(fleet.node(kill % options.nodes), NODE_DOWN_MS);
      }
    });
    return figures(outcomes, faultsMs);
  } finally {
    await fleet.stop();
  }
}

/** P7: every node ends on SIGTERM and starts again, in turn, while it answers and while a batch runs. */
export async function rollingRestart(
  options: Load & { rows: number },
): Promise<LiveFigures & { rows: number; isIdentical: boolean; wrongRows: number; failedRows: number }> {
  const fleet = await Fleet.start({ nodes: options.nodes, withEnvoy: true });
  try {
    const reference = await referenceOutput(fleet, options.rows);
    const id = await submit(fleet.node(0), options.rows);
    const faultsMs: number[] = [];
    const outcomes = await underLoad(fleet, options.perSecond, async () => {
      for (const node of fleet.nodes) {
        faultsMs.push(performance.now());
        await node.restart();
      }
    });
    const view = await untilDone(fleet.nodes, id, { share: 1, timeoutMs: BATCH_MS_MAX });
    const output = await outputOf(fleet.node(0), view, options.rows);
    const isIdentical = output.sha256 === reference.sha256;
    const batch = { rows: options.rows, isIdentical, wrongRows: output.wrongRows, failedRows: view.request_counts.failed };
    return { ...figures(outcomes, faultsMs), ...batch };
  } finally {
    await fleet.stop();
  }
}

export interface RedisAway {
  signal: string;
  awaySeconds: number;
  before: LiveFigures;
  during: LiveFigures;
  after: LiveFigures;
  /** `during.p99Ms` by the mean of the other two. */
  p99Ratio: number;
  /** What a batch says that was submitted before Redis went. */
  paused: string | null;
  isCompleted: boolean;
}

/** P4: Redis does not answer (SIGSTOP) or is gone (SIGKILL) for a while. The batch begins just before, so that the lane's load is small. */
export async function redisAway(options: Load & { rows: number; awayMs: number; signal: 'SIGSTOP' | 'SIGKILL' }): Promise<RedisAway> {
  const { perSecond, awayMs, signal } = options;
  const fleet = await Fleet.start({ nodes: options.nodes, withEnvoy: true });
  const rest = async (): Promise<LiveFigures> => figures(await underLoad(fleet, perSecond, () => sleep(awayMs)), []);
  try {
    const before = await rest();
    const id = await submit(fleet.node(0), options.rows);
    fleet.redis?.signal(signal);
    let paused: string | null = null;
    const during = figures(
      await underLoad(fleet, perSecond, async () => {
        await sleep(awayMs);
        paused = (await viewOf(fleet.nodes, id))?.interleave?.paused ?? null;
      }),
      [],
    );
    if (signal === 'SIGSTOP') fleet.redis?.signal('SIGCONT');
    else fleet.redis?.start();
    const view = await untilDone(fleet.nodes, id, { share: 1, timeoutMs: BATCH_MS_MAX });
    const after = await rest();
    const p99Ratio = during.p99Ms / ((before.p99Ms + after.p99Ms) / 2);
    return { signal, awaySeconds: awayMs / 1000, before, during, after, p99Ratio, paused, isCompleted: view.status === 'completed' };
  } finally {
    await fleet.stop();
  }
}

/** Sends an open loop before, during and after `work`. */
async function underLoad(fleet: Fleet, perSecond: number, work: () => Promise<unknown>): Promise<Outcome[]> {
  const random = new SeededRandom(SEED);
  const requests = Array.from({ length: REQUESTS }, () => {
    const ids = Array.from({ length: random.integer(4, TOKENS_MAX) }, () => random.integer(5, 900));
    return infer({ model: MODEL, ids, output: 'sentence_embedding', headers: {} });
  });
  const loop = new OpenLoop(fleet.url);
  const end = new AbortController();
  const outcomes = loop.run(requests, { perSecond, durationMs: Infinity, random, signal: end.signal });
  try {
    await sleep(STEADY_MS);
    await work();
    await sleep(STEADY_MS);
  } finally {
    end.abort();
    await outcomes;
    loop.close();
  }
  return outcomes;
}

function figures(outcomes: Outcome[], faultsMs: number[]): LiveFigures {
  const errors: Record<string, number> = {};
  for (const { status } of outcomes) if (status !== 200) errors[status] = (errors[status] ?? 0) + 1;
  const latencies = outcomes.map(({ latencyMs }) => latencyMs);
  const near = outcomes.filter(({ dueMs }) => faultsMs.some((atMs) => dueMs >= atMs && dueMs < atMs + 1000));
  const p99Of = (samples: number[]): number => quantile(samples, 0.99);
  return {
    requests: outcomes.length,
    errors,
    p50Ms: quantile(latencies, 0.5),
    p99Ms: p99Of(latencies),
    faultP99Ms: p99Of(near.map(({ latencyMs }) => latencyMs)),
    faults: faultsMs.length,
  };
}

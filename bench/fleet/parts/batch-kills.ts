import { setTimeout as sleep } from 'node:timers/promises';
import { until, type Stack } from '../../../test/support/stack';
import { SeededRandom } from '../../../test/support/tensors';
import { outputOf, submit, untilDone, type BatchOutput } from '../deterministic-batch';
import { Fleet } from '../fleet';

const BATCH_MS_MAX = 30 * 60_000;
const SEED = 14;
const RUNNER_MS_MAX = 60_000;
const NODE_DOWN_MS = 2_000;
const SERVICE_DOWN_MS = 500;

export interface BatchKills {
  rows: number;
  nodes: number;
  kills: Record<string, number>;
  seconds: number;
  isIdentical: boolean;
  /** Of one node that nobody killed. */
  reference: BatchOutput;
  output: BatchOutput;
  /** Of the runners that live at the end: a killed one takes its counters with it. */
  chunks: Record<string, number>;
}

/** The same rows on one node in peace, for the comparison. */
export async function referenceOutput(fleet: Fleet, rows: number): Promise<BatchOutput> {
  const node = fleet.node(0);
  const view = await untilDone([node], await submit(node, rows), { share: 1, timeoutMs: BATCH_MS_MAX });
  return outputOf(node, view, rows);
}

/** P2: SIGKILL of whole nodes, runners, Redis and Envoy while a batch runs, and its output against one node's. */
export async function batchKills(options: {
  rows: number;
  nodes: number;
  kills: number;
  gapMs: number;
  withEnvoy: boolean;
}): Promise<BatchKills> {
  const alone = await Fleet.start({ nodes: 1 });
  let reference: BatchOutput;
  try {
    reference = await referenceOutput(alone, options.rows);
  } finally {
    await alone.stop();
  }
  const fleet = await Fleet.start({ nodes: options.nodes, withEnvoy: options.withEnvoy });
  try {
    const startMs = performance.now();
    const id = await submit(fleet.node(0), options.rows);
    const chunks: Record<string, number> = {};
    const kills = await killInTurn(fleet, options, chunks);
    const view = await untilDone(fleet.nodes, id, { share: 1, timeoutMs: BATCH_MS_MAX });
    const seconds = (performance.now() - startMs) / 1000;
    const output = await outputOf(fleet.node(0), view, options.rows);
    add(chunks, await fleet.chunkCounts());
    const { rows, nodes } = options;
    return { rows, nodes, kills, seconds, isIdentical: output.sha256 === reference.sha256, reference, output, chunks };
  } finally {
    await fleet.stop();
  }
}

/** Counters of what is killed are read just before, into `chunks`. */
async function killInTurn(
  fleet: Fleet,
  { kills, gapMs }: { kills: number; gapMs: number },
  chunks: Record<string, number>,
): Promise<Record<string, number>> {
  const random = new SeededRandom(SEED);
  const counts: Record<string, number> = {};
  for (let kill = 0; kill < kills; kill++) {
    await sleep(gapMs * (0.5 + random.next()));
    const node = fleet.node(random.integer(0, fleet.nodes.length - 1));
    const targets = ['node', 'runner', 'redis', 'runner', 'node', ...(fleet.envoy === null ? [] : ['envoy'])];
    const target = targets[kill % targets.length] as string;
    counts[target] = (counts[target] ?? 0) + 1;
    if (target === 'node' || target === 'runner') add(chunks, await fleet.chunkCounts([node]));
    if (target === 'node') await fleet.loseNode(node, NODE_DOWN_MS);
    else if (target === 'runner') await killRunner(node);
    else await restartService(fleet, target);
  }
  return counts;
}

async function restartService(fleet: Fleet, target: string): Promise<void> {
  const service = target === 'redis' ? fleet.redis : fleet.envoy;
  await service?.end('SIGKILL');
  await sleep(SERVICE_DOWN_MS);
  service?.start();
}

function add(to: Record<string, number>, counts: Record<string, number>): void {
  for (const [key, value] of Object.entries(counts)) to[key] = (to[key] ?? 0) + value;
}

async function killRunner(node: Stack): Promise<void> {
  const isKilled = async (): Promise<boolean> => process.kill(await node.pidOf('runner'), 'SIGKILL');
  await until(isKilled, RUNNER_MS_MAX, () => 'the node starts no runner');
}

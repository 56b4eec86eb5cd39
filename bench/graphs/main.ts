import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { InterleaveError, type InferenceBackend, type InferenceItem, type ItemResult, type Tensor } from '@app/contracts';
import { GraphBackend } from '@app/graphs';
import { PlacementReader } from '@app/process';
import { WorkerPool } from '@app/worker-pool';
import { Stack, until } from '../../test/support/stack';
import { quantile } from '../support/statistics';

/**
 * What a graph costs on top of the models of its steps: p50 of one request at a time to a graph, minus that of the same requests sent to
 * its models one after the other by the same process, in turns so that drift of the machine meets both alike. One row of 32 tokens.
 */
const TOKENS = 32;
const ROUNDS = Number(process.env['ROUNDS'] ?? 20);
const REQUESTS_PER_ROUND = 100;
const GOAL_MS = 0.15;
const STEPS = 2;
const GRAPH = `task: tensor
steps:
  - model: encoder-tiny
    input_map: { input_ids: input_ids, attention_mask: attention_mask }
    output_map: { last_hidden_state: hidden }
  - model: pooler
    input_map: { hidden: hidden, attention_mask: attention_mask }
    output_map: { sentence_embedding: sentence_embedding }
`;

const int64 = (name: string, values: number[]): Tensor => ({
  ...{ name, datatype: 'INT64', shape: [1, values.length] },
  data: new Uint8Array(BigInt64Array.from(values, BigInt).buffer),
});
const MASK = int64('attention_mask', new Array<number>(TOKENS).fill(1));

/** Another text each time: equal requests would be answered by one run. */
const idsOf = (sequence: number): Tensor =>
  int64(
    'input_ids',
    Array.from({ length: TOKENS }, (_, i) => 5 + ((sequence * 31 + i * 7) % 900)),
  );

async function main(): Promise<void> {
  // Costs are not measured meanwhile, which would run beside the requests.
  const stack = await Stack.start({ models: ['encoder-tiny', 'pooler'], config: 'calibration: { budgetMs: 0 }' });
  const placement = new PlacementReader(stack.runDir);
  const backend = new GraphBackend({ steps: new WorkerPool({ lane: 'realtime', runDir: stack.runDir, placement }), placement });
  try {
    mkdirSync(join(stack.dir, 'models', 'both'));
    writeFileSync(join(stack.dir, 'models', 'both', 'model.yaml'), GRAPH);
    const isReady = (): boolean =>
      ['encoder-tiny', 'pooler', 'both'].every((name) =>
        backend.models().some((report) => report.name === name && report.state === 'ready'),
      );
    await until(
      async () => isReady(),
      60_000,
      () => stack.log(),
    );
    report(await measure({ byHand: (sequence) => byHand(backend, sequence), graph: (sequence) => byGraph(backend, sequence) }));
  } finally {
    await backend.close();
    placement.close();
    await stack.stop();
  }
}

async function measure(calls: Record<string, (sequence: number) => Promise<void>>): Promise<Record<string, number[]>> {
  const samplesMs: Record<string, number[]> = {};
  let sequence = 0;
  for (let round = -1; round < ROUNDS; round++) {
    for (const [name, call] of Object.entries(calls)) {
      for (let i = 0; i < REQUESTS_PER_ROUND; i++) {
        const startMs = performance.now();
        await call(sequence++);
        if (round >= 0) (samplesMs[name] ??= []).push(performance.now() - startMs);
      }
    }
  }
  return samplesMs;
}

async function byGraph(backend: InferenceBackend, sequence: number): Promise<void> {
  await run(backend, 'both', { inputs: [idsOf(sequence), MASK], outputs: null });
}

async function byHand(backend: InferenceBackend, sequence: number): Promise<void> {
  const { outputs } = await run(backend, 'encoder-tiny', { inputs: [idsOf(sequence), MASK], outputs: ['last_hidden_state'] });
  await run(backend, 'pooler', { inputs: [{ ...(outputs[0] as Tensor), name: 'hidden' }, MASK], outputs: ['sentence_embedding'] });
}

async function run(backend: InferenceBackend, model: string, item: InferenceItem): Promise<ItemResult> {
  const [result] = await backend.infer({ model, version: null, items: [item], timeoutMs: 10_000, priority: 0, signal: null });
  if (result === undefined || result instanceof InterleaveError) throw result ?? new Error('no answer');
  return result;
}

function report(samplesMs: Record<string, number[]>): void {
  const table = Object.entries(samplesMs).map(([name, samples]) => ({
    name,
    p50Ms: quantile(samples, 0.5),
    p99Ms: quantile(samples, 0.99),
    samples: samples.length,
  }));
  const [byHandMs = NaN, graphMs = NaN] = table.map(({ p50Ms }) => p50Ms);
  const overheadPerStepMs = (graphMs - byHandMs) / STEPS;
  console.table(table);
  console.log(`overhead of a graph for each step at p50: ${overheadPerStepMs.toFixed(3)} ms; goal ${GOAL_MS} ms`);
  const outDir = join(process.cwd(), 'bench', 'results');
  mkdirSync(outDir, { recursive: true });
  writeFileSync(join(outDir, 'graphs.json'), `${JSON.stringify({ tokens: TOKENS, steps: STEPS, table, overheadPerStepMs }, null, 2)}\n`);
}

main().catch((error: unknown) => {
  console.error(error);
  process.exitCode = 1;
});

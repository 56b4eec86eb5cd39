import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { InferenceSession, Tensor } from 'onnxruntime-node';
import { Stack } from '../../test/support/stack';
import { HttpConnection, postRequest } from '../support/http-connection';
import { infer } from '../support/infer-request';
import { quantile } from '../support/statistics';

/**
 * What a live request costs on top of the model: HTTP p50 at concurrency 1 minus the p50 of a bare session run in the
 * same process run, in turns (bare, JSON, binary, bare, …) so that drift of the machine meets all three alike.
 * `encoder-tiny`, one row of 32 tokens, `sentence_embedding` out.
 */
const TOKENS = 32;
const ROUNDS = 20;
/** Not counted: V8 has not optimized the API's code before some thousand requests. */
const WARM_UP_ROUNDS = 20;
const REQUESTS_PER_ROUND = 100;
const MODEL = 'encoder-tiny';
const GOAL_MS = 0.2;
const LIMITS_MS = { json: 0.3, binary: 0.25 };
/** The api's figure is of the last one or two steps of 15 s, and a scrape begins a new one (`libs/telemetry/src/event-loop.ts`). */
const LOAD_MS = 15_500;
const LOADS = 3;
const LOAD_CONNECTIONS = 32;
const EVENT_LOOP_LIMIT_MS = 10;

/** Token ids that differ between callers: equal requests in flight would share a run. */
const idsOf = (caller: number): number[] => Array.from({ length: TOKENS }, (_, index) => 5 + index + caller);
const mask = idsOf(0).map(() => 1);

async function main(): Promise<void> {
  // Costs are not measured meanwhile, which would run beside the requests.
  const stack = await Stack.start({ models: [MODEL], config: 'calibration: { budgetMs: 0 }' });
  try {
    const session = await InferenceSession.create(join(stack.dir, 'models', MODEL, 'model.onnx'), {
      intraOpNumThreads: 1,
      interOpNumThreads: 1,
    });
    const connection = await HttpConnection.open(stack.url);
    const [json, binary] = [jsonRequest(idsOf(0)), binaryRequest(idsOf(0))];
    const calls = { bare: () => bareRun(session), json: () => sendOk(connection, json), binary: () => sendOk(connection, binary) };
    const samplesMs = await measure(calls);
    connection.close();
    report(samplesMs, await eventLoopDelayUnderLoad(stack));
  } finally {
    await stack.stop();
  }
}

async function measure(calls: Record<string, () => Promise<void>>): Promise<Record<string, number[]>> {
  const samplesMs: Record<string, number[]> = {};
  for (let round = -WARM_UP_ROUNDS; round < ROUNDS; round++) {
    for (const [name, call] of Object.entries(calls)) {
      for (let i = 0; i < REQUESTS_PER_ROUND; i++) {
        const startMs = performance.now();
        await call();
        if (round >= 0) (samplesMs[name] ??= []).push(performance.now() - startMs);
      }
    }
  }
  return samplesMs;
}

/** p99 of the api's event-loop delay, in ms, while more connections than executors send without pause; without the api's start. */
async function eventLoopDelayUnderLoad(stack: Stack): Promise<number> {
  let delayMs = NaN;
  for (let i = 0; i < LOADS; i++) {
    await load(stack);
    delayMs = await eventLoopDelayMs(stack);
  }
  return delayMs;
}

async function load(stack: Stack): Promise<void> {
  const endMs = performance.now() + LOAD_MS;
  const caller = async (request: Buffer): Promise<void> => {
    const connection = await HttpConnection.open(stack.url);
    while (performance.now() < endMs) await sendOk(connection, request);
    connection.close();
  };
  await Promise.all(
    Array.from({ length: LOAD_CONNECTIONS }, (_, index) =>
      caller(index % 2 === 0 ? jsonRequest(idsOf(index)) : binaryRequest(idsOf(index))),
    ),
  );
}

async function eventLoopDelayMs(stack: Stack): Promise<number> {
  const metrics = await (await fetch(`${stack.url}/metrics`)).text();
  const line = metrics
    .split('\n')
    .find(
      (text) =>
        text.startsWith('interleave_event_loop_delay_seconds{') && text.includes('process="api"') && text.includes('quantile="0.99"'),
    );
  return Number(line?.split(' ').at(-1)) * 1000;
}

async function bareRun(session: InferenceSession): Promise<void> {
  const tensor = (values: number[]) => new Tensor('int64', BigInt64Array.from(values, BigInt), [1, TOKENS]);
  await session.run({ input_ids: tensor(idsOf(0)), attention_mask: tensor(mask) }, ['sentence_embedding']);
}

async function sendOk(connection: HttpConnection, request: Buffer): Promise<void> {
  const { status, body } = await connection.send(request);
  if (status !== 200) throw new Error(`status ${status}: ${body.toString('utf8', 0, 500)}`);
}

function jsonRequest(ids: number[]): Buffer {
  const input = (name: string, data: number[]) => ({ name, datatype: 'INT64', shape: [1, TOKENS], data });
  const body = { inputs: [input('input_ids', ids), input('attention_mask', mask)], outputs: [{ name: 'sentence_embedding' }] };
  return postRequest(`/v2/models/${MODEL}/infer`, Buffer.from(JSON.stringify(body)), { 'content-type': 'application/json' });
}

const binaryRequest = (ids: number[]): Buffer => infer({ model: MODEL, ids, output: 'sentence_embedding', headers: {} });

function report(samplesMs: Record<string, number[]>, eventLoopDelayP99Ms: number): void {
  const rows = Object.entries(samplesMs).map(([name, samples]) => ({
    name,
    p50Ms: quantile(samples, 0.5),
    p99Ms: quantile(samples, 0.99),
    samples: samples.length,
  }));
  const bareMs = rows.find(({ name }) => name === 'bare')?.p50Ms ?? NaN;
  const table = rows.map((row) => ({ ...row, overheadP50Ms: row.p50Ms - bareMs }));
  console.table(table);
  console.log(`overhead at p50: limit ${LIMITS_MS.json} ms for JSON, ${LIMITS_MS.binary} ms for binary tensors, goal ${GOAL_MS} ms`);
  console.log(
    `event-loop delay of the api, p99 under ${LOAD_CONNECTIONS} connections: ${eventLoopDelayP99Ms.toFixed(1)} ms; limit ${EVENT_LOOP_LIMIT_MS} ms`,
  );
  const outDir = join(process.cwd(), 'bench', 'results');
  mkdirSync(outDir, { recursive: true });
  writeFileSync(
    join(outDir, 'overhead.json'),
    `${JSON.stringify({ model: MODEL, tokens: TOKENS, table, eventLoopDelayP99Ms }, null, 2)}\n`,
  );
}

main().catch((error: unknown) => {
  console.error(error);
  process.exitCode = 1;
});

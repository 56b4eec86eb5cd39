import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { InferenceSession, Tensor } from 'onnxruntime-node';
import { Stack } from '../../test/support/stack';
import { HttpConnection, postRequest } from '../support/http-connection';
import { quantile } from '../support/statistics';

/**
 * What a live request costs on top of the model: HTTP p50 at concurrency 1 minus the p50 of a bare session run in the
 * same process run, in turns (bare, JSON, binary, bare, …) so that drift of the machine meets all three alike.
 * `encoder-tiny`, one row of 32 tokens, `sentence_embedding` out.
 */
const TOKENS = 32;
const ROUNDS = 20;
const REQUESTS_PER_ROUND = 100;
const MODEL = 'encoder-tiny';
const GOAL_MS = 0.2;
const LIMIT_MS = 0.5;

const ids = Array.from({ length: TOKENS }, (_, index) => 5 + index);
const mask = ids.map(() => 1);

async function main(): Promise<void> {
  const stack = await Stack.start({ models: [MODEL] });
  try {
    const session = await InferenceSession.create(join(stack.dir, 'models', MODEL, 'model.onnx'), { intraOpNumThreads: 1, interOpNumThreads: 1 });
    const connection = await HttpConnection.open(stack.url);
    const calls = { bare: () => bareRun(session), json: () => sendOk(connection, jsonRequest()), binary: () => sendOk(connection, binaryRequest()) };
    const samplesMs = await measure(calls);
    connection.close();
    report(samplesMs);
  } finally {
    await stack.stop();
  }
}

async function measure(calls: Record<string, () => Promise<void>>): Promise<Record<string, number[]>> {
  const samplesMs: Record<string, number[]> = {};
  for (let round = -1; round < ROUNDS; round++) {
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

async function bareRun(session: InferenceSession): Promise<void> {
  const tensor = (values: number[]) => new Tensor('int64', BigInt64Array.from(values, BigInt), [1, TOKENS]);
  await session.run({ input_ids: tensor(ids), attention_mask: tensor(mask) }, ['sentence_embedding']);
}

async function sendOk(connection: HttpConnection, request: Buffer): Promise<void> {
  const { status, body } = await connection.send(request);
  if (status !== 200) throw new Error(`status ${status}: ${body.toString('utf8', 0, 500)}`);
}

function jsonRequest(): Buffer {
  const input = (name: string, data: number[]) => ({ name, datatype: 'INT64', shape: [1, TOKENS], data });
  const body = { inputs: [input('input_ids', ids), input('attention_mask', mask)], outputs: [{ name: 'sentence_embedding' }] };
  return postRequest(`/v2/models/${MODEL}/infer`, Buffer.from(JSON.stringify(body)), { 'content-type': 'application/json' });
}

function binaryRequest(): Buffer {
  const bytes = (values: number[]) => Buffer.from(BigInt64Array.from(values, BigInt).buffer);
  const input = (name: string) => ({ name, datatype: 'INT64', shape: [1, TOKENS], parameters: { binary_data_size: TOKENS * 8 } });
  const head = Buffer.from(
    JSON.stringify({ inputs: [input('input_ids'), input('attention_mask')], outputs: [{ name: 'sentence_embedding', parameters: { binary_data: true } }] }),
  );
  return postRequest(`/v2/models/${MODEL}/infer`, Buffer.concat([head, bytes(ids), bytes(mask)]), {
    'content-type': 'application/octet-stream',
    'inference-header-content-length': String(head.length),
  });
}

function report(samplesMs: Record<string, number[]>): void {
  const rows = Object.entries(samplesMs).map(([name, samples]) => ({ name, p50Ms: quantile(samples, 0.5), p99Ms: quantile(samples, 0.99), samples: samples.length }));
  const bareMs = rows.find(({ name }) => name === 'bare')?.p50Ms ?? NaN;
  const table = rows.map((row) => ({ ...row, overheadP50Ms: row.p50Ms - bareMs }));
  console.table(table);
  console.log(`overhead at p50: limit ${LIMIT_MS} ms, goal ${GOAL_MS} ms`);
  const outDir = join(process.cwd(), 'bench', 'results');
  mkdirSync(outDir, { recursive: true });
  writeFileSync(join(outDir, 'overhead.json'), `${JSON.stringify({ model: MODEL, tokens: TOKENS, table }, null, 2)}\n`);
}

main().catch((error: unknown) => {
  console.error(error);
  process.exitCode = 1;
});

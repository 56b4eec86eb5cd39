import { mkdirSync, writeFileSync } from 'node:fs';
import { connect } from 'node:http2';
import { join } from 'node:path';
import type * as grpc from '@grpc/grpc-js';
import { loadSync } from '@grpc/proto-loader';
import { Stack } from '../../test/support/stack';
import { HttpConnection } from '../support/http-connection';
import { infer } from '../support/infer-request';
import { quantile } from '../support/statistics';

/**
 * gRPC beside HTTP with binary tensors, in turns on one node: p50 at concurrency 1, and requests per second of 64 callers
 * (64 HTTP connections; 64 calls on one gRPC connection). `encoder-tiny`, one row of 32 tokens. Both clients send prepared
 * bytes; gRPC's is node's HTTP/2, which costs more than the bare socket of the other.
 */
const TOKENS = 32;
const MODEL = 'encoder-tiny';
const OUTPUT = 'sentence_embedding';
const ROUNDS = 10;
const REQUESTS_PER_ROUND = 100;
const CALLERS = 64;
const LOAD_MS = 1500;
const PROTO = join(__dirname, '../../apps/api/src/grpc/proto/inference.proto');

interface Transport {
  /** One request of a caller; rejects when it is not answered. */
  send(caller: number): Promise<void>;
  close(): void;
}

/** Differ between callers: equal requests in flight would share a run. */
const idsOf = (caller: number): number[] => Array.from({ length: TOKENS }, (_, index) => 5 + index + caller);

async function main(): Promise<void> {
  const stack = await Stack.start({ models: [MODEL], config: 'calibration: { budgetMs: 0 }' });
  try {
    const transports = { binary: await overHttp(stack), grpc: overGrpc(stack) };
    const figures = await measure(transports);
    for (const transport of Object.values(transports)) transport.close();
    report(figures);
  } finally {
    await stack.stop();
  }
}

interface Figures {
  samplesMs: number[];
  answered: number;
  loadMs: number;
}

async function measure(transports: Record<string, Transport>): Promise<Record<string, Figures>> {
  const figures = Object.fromEntries(
    Object.keys(transports).map((name): [string, Figures] => [name, { samplesMs: [], answered: 0, loadMs: 0 }]),
  );
  for (let round = -1; round < ROUNDS; round++) {
    for (const [name, transport] of Object.entries(transports)) {
      const samplesMs = await oneByOne(transport);
      const startMs = performance.now();
      const answered = await together(transport);
      const loadMs = performance.now() - startMs;
      const found = figures[name];
      if (round < 0 || found === undefined) continue;
      found.samplesMs.push(...samplesMs);
      found.answered += answered;
      found.loadMs += loadMs;
    }
  }
  return figures;
}

async function oneByOne(transport: Transport): Promise<number[]> {
  const samplesMs: number[] = [];
  for (let i = 0; i < REQUESTS_PER_ROUND; i++) {
    const startMs = performance.now();
    await transport.send(0);
    samplesMs.push(performance.now() - startMs);
  }
  return samplesMs;
}

/** How many were answered. */
async function together(transport: Transport): Promise<number> {
  const endMs = performance.now() + LOAD_MS;
  let answered = 0;
  const caller = async (index: number): Promise<void> => {
    for (; performance.now() < endMs; answered++) await transport.send(index);
  };
  await Promise.all(Array.from({ length: CALLERS }, (_, index) => caller(index)));
  return answered;
}

async function overHttp({ url }: Stack): Promise<Transport> {
  const requests = Array.from({ length: CALLERS }, (_, caller) => infer({ model: MODEL, ids: idsOf(caller), output: OUTPUT, headers: {} }));
  const connections = await Promise.all(requests.map(() => HttpConnection.open(url)));
  return {
    send: async (caller) => {
      const { status } = await (connections[caller] as HttpConnection).send(requests[caller] as Buffer);
      if (status !== 200) throw new Error(`status ${status}`);
    },
    close: () => connections.forEach((connection) => connection.close()),
  };
}

function overGrpc({ grpcAddress }: Stack): Transport {
  const service = loadSync(PROTO, { keepCase: true })['inference.GRPCInferenceService'] as grpc.ServiceDefinition;
  const { path, requestSerialize } = service.ModelInfer as grpc.MethodDefinition<object, Buffer>;
  const bytes = (values: number[]) => Buffer.from(BigInt64Array.from(values, BigInt).buffer);
  const input = (name: string) => ({ name, datatype: 'INT64', shape: [1, TOKENS] });
  const requests = Array.from({ length: CALLERS }, (_, caller) =>
    requestSerialize({
      model_name: MODEL,
      inputs: [input('input_ids'), input('attention_mask')],
      outputs: [{ name: OUTPUT }],
      raw_input_contents: [bytes(idsOf(caller)), bytes(idsOf(caller).map(() => 1))],
    }),
  );
  const session = connect(`http://${grpcAddress}`);
  const headers = { ':method': 'POST', ':path': path, 'content-type': 'application/grpc', te: 'trailers' };
  const framed = requests.map((message) => {
    const prefix = Buffer.alloc(5);
    prefix.writeUInt32BE(message.length, 1);
    return Buffer.concat([prefix, message]);
  });
  return {
    send: (caller) =>
      new Promise((resolve, reject) => {
        const stream = session.request(headers);
        stream.once('trailers', (trailers) =>
          trailers['grpc-status'] === '0' ? resolve() : reject(new Error(`status ${trailers['grpc-status']}`)),
        );
        stream.once('error', reject).resume();
        stream.end(framed[caller]);
      }),
    close: () => session.close(),
  };
}

function report(figures: Record<string, Figures>): void {
  const table = Object.entries(figures).map(([name, { samplesMs, answered, loadMs }]) => ({
    name,
    p50Ms: quantile(samplesMs, 0.5),
    p99Ms: quantile(samplesMs, 0.99),
    requestsPerSecond: (answered / loadMs) * 1000,
  }));
  console.table(table);
  const outDir = join(process.cwd(), 'bench', 'results');
  mkdirSync(outDir, { recursive: true });
  writeFileSync(join(outDir, 'grpc.json'), `${JSON.stringify({ model: MODEL, tokens: TOKENS, callers: CALLERS, table }, null, 2)}\n`);
}

main().catch((error: unknown) => {
  console.error(error);
  process.exitCode = 1;
});

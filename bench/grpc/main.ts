import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type * as grpc from '@grpc/grpc-js';
import { loadSync } from '@grpc/proto-loader';
import { Stack } from '../../test/support/stack';
import { framedMessage, headerBlock, Http2Connection } from '../support/http2-connection';
import { HttpConnection } from '../support/http-connection';
import { infer } from '../support/infer-request';
import { cpuMsOf } from '../support/process-cpu';
import { quantile } from '../support/statistics';
import type { BareKind } from './bare-server';

/**
 * gRPC beside HTTP with binary tensors, in turns on one node, and beside bare servers that take and send as many bytes: p50 at
 * concurrency 1, requests per second of 64 callers (64 HTTP connections; 64 calls on one gRPC connection), and CPU time of the
 * process that answers. `encoder-tiny`, one row of 32 tokens. Both clients send prepared bytes over bare sockets.
 */
const TOKENS = 32;
const MODEL = 'encoder-tiny';
const OUTPUT = 'sentence_embedding';
const ROUNDS = Number(process.argv[2] ?? 10);
const REQUESTS_PER_ROUND = 100;
const CALLERS = 64;
const LOAD_MS = 1500;
const PROTO = join(__dirname, '../../apps/api/src/grpc/proto/inference.proto');

interface Transport {
  /** Of the process that answers. */
  serverPid: number;
  /** One request of a caller; resolves with the bytes of the answer, and rejects when there is none. */
  send(caller: number): Promise<number>;
  close(): void;
}

/** Differ between callers: equal requests in flight would share a run. */
const idsOf = (caller: number): number[] => Array.from({ length: TOKENS }, (_, index) => 5 + index + caller);

async function main(): Promise<void> {
  const stack = await Stack.start({ models: [MODEL], config: 'calibration: { budgetMs: 0 }' });
  const bare: ChildProcess[] = [];
  try {
    const serverPid = await stack.pidOf('api-1');
    const binary = await overHttp(stack.url, serverPid);
    const overNode = await overGrpc(stack.grpcAddress, serverPid);
    const beside = async (kind: BareKind, path: string, like: Transport, open: (address: string, pid: number) => Promise<Transport>) => {
      const { child, address } = await startBare(kind, await like.send(0), path);
      bare.push(child);
      return open(address, child.pid as number);
    };
    const transports = {
      binary,
      grpc: overNode,
      'bare fastify': await beside('fastify', `/v2/models/${MODEL}/infer`, binary, (address, pid) => overHttp(`http://${address}`, pid)),
      'bare grpc-js': await beside('grpc-js', method().path, overNode, overGrpc),
      'bare node:http2': await beside('http2', method().path, overNode, overGrpc),
    };
    const figures = await measure(transports);
    for (const transport of Object.values(transports)) transport.close();
    report(figures);
  } finally {
    for (const child of bare) child.kill();
    await stack.stop();
  }
}

async function startBare(kind: BareKind, answerBytes: number, path: string): Promise<{ child: ChildProcess; address: string }> {
  const program = [join(__dirname, 'bare-server.js'), kind, String(answerBytes), path];
  const child = spawn(process.execPath, program, { stdio: ['ignore', 'pipe', 'inherit'] });
  const [port] = (await once(child.stdout, 'data')) as [Buffer];
  return { child, address: `127.0.0.1:${port.toString().trim()}` };
}

interface Figures {
  samplesMs: number[];
  answered: number;
  loadMs: number;
  /** While there was load. */
  serverCpuMs: number;
  clientCpuMs: number;
}

async function measure(transports: Record<string, Transport>): Promise<Record<string, Figures>> {
  const none = (): Figures => ({ samplesMs: [], answered: 0, loadMs: 0, serverCpuMs: 0, clientCpuMs: 0 });
  const figures = Object.fromEntries(Object.keys(transports).map((name): [string, Figures] => [name, none()]));
  for (let round = -1; round < ROUNDS; round++) {
    for (const [name, transport] of Object.entries(transports)) {
      const samplesMs = await oneByOne(transport);
      const cpuMs = () => [cpuMsOf(transport.serverPid), cpuMsOf(process.pid)] as const;
      const startMs = performance.now();
      const [serverStart, clientStart] = cpuMs();
      const answered = await together(transport);
      const [serverEnd, clientEnd] = cpuMs();
      const loadMs = performance.now() - startMs;
      const found = figures[name];
      if (round < 0 || found === undefined) continue;
      found.samplesMs.push(...samplesMs);
      found.answered += answered;
      found.loadMs += loadMs;
      found.serverCpuMs += serverEnd - serverStart;
      found.clientCpuMs += clientEnd - clientStart;
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

async function overHttp(url: string, serverPid: number): Promise<Transport> {
  const requests = Array.from({ length: CALLERS }, (_, caller) => infer({ model: MODEL, ids: idsOf(caller), output: OUTPUT, headers: {} }));
  const connections = await Promise.all(requests.map(() => HttpConnection.open(url)));
  return {
    serverPid,
    send: async (caller) => {
      const { status, body } = await (connections[caller] as HttpConnection).send(requests[caller] as Buffer);
      if (status !== 200) throw new Error(`status ${status}`);
      return body.length;
    },
    close: () => connections.forEach((connection) => connection.close()),
  };
}

function method(): grpc.MethodDefinition<object, Buffer> {
  const service = loadSync(PROTO, { keepCase: true })['inference.GRPCInferenceService'] as grpc.ServiceDefinition;
  return service.ModelInfer as grpc.MethodDefinition<object, Buffer>;
}

async function overGrpc(address: string, serverPid: number): Promise<Transport> {
  const { path, requestSerialize } = method();
  const bytes = (values: number[]) => Buffer.from(BigInt64Array.from(values, BigInt).buffer);
  const input = (name: string) => ({ name, datatype: 'INT64', shape: [1, TOKENS] });
  const messages = Array.from({ length: CALLERS }, (_, caller) =>
    framedMessage(
      requestSerialize({
        model_name: MODEL,
        inputs: [input('input_ids'), input('attention_mask')],
        outputs: [{ name: OUTPUT }],
        raw_input_contents: [bytes(idsOf(caller)), bytes(idsOf(caller).map(() => 1))],
      }),
    ),
  );
  const scheme = { ':method': 'POST', ':scheme': 'http', ':path': path, ':authority': address };
  const headers = headerBlock({ ...scheme, 'content-type': 'application/grpc', te: 'trailers' });
  const connection = await Http2Connection.open(address);
  return {
    serverPid,
    send: (caller) => connection.send(headers, messages[caller] as Buffer),
    close: () => connection.close(),
  };
}

function report(figures: Record<string, Figures>): void {
  const table = Object.entries(figures).map(([name, { samplesMs, answered, loadMs, serverCpuMs, clientCpuMs }]) => ({
    name,
    p50Ms: quantile(samplesMs, 0.5),
    p99Ms: quantile(samplesMs, 0.99),
    requestsPerSecond: (answered / loadMs) * 1000,
    serverCpuMs: serverCpuMs / answered,
    clientCpuMs: clientCpuMs / answered,
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

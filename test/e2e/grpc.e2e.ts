import { join } from 'node:path';
import * as grpc from '@grpc/grpc-js';
import { loadSync } from '@grpc/proto-loader';
import { Stack, until } from '../support/stack';

const MODEL = 'encoder-tiny';
const PROTO = join(__dirname, '../../apps/api/src/grpc/proto/inference.proto');
const OUTPUT = 'sentence_embedding';
const ids = Buffer.from(BigInt64Array.of(2n, 9n, 8n, 3n).buffer);
const mask = Buffer.from(BigInt64Array.of(1n, 1n, 1n, 1n).buffer);

interface Answer {
  raw_output_contents: Buffer[];
}
type Client = grpc.Client & { ModelInfer(request: object, callback: (error: Error | null, answer: Answer) => void): void };

/** A whole node starts, on machines that may be slow. */
jest.setTimeout(120_000);
let stack: Stack;
let client: Client;
beforeAll(async () => {
  stack = await Stack.start({ models: [MODEL], config: 'calibration: { budgetMs: 0 }' });
  const service = loadSync(PROTO, { keepCase: true })['inference.GRPCInferenceService'] as grpc.ServiceDefinition;
  const Made = grpc.makeClientConstructor(service, 'inference');
  client = new Made(stack.grpcAddress, grpc.credentials.createInsecure()) as unknown as Client;
});
afterAll(async () => {
  client?.close();
  await stack?.stop();
});

function byGrpc(): Promise<Buffer> {
  const input = (name: string) => ({ name, datatype: 'INT64', shape: [1, 4] });
  const inputs = [input('input_ids'), input('attention_mask')];
  const request = { model_name: MODEL, inputs, outputs: [{ name: OUTPUT }], raw_input_contents: [ids, mask] };
  return new Promise((resolve, reject) =>
    client.ModelInfer(request, (error, answer) => (error ? reject(error) : resolve(answer.raw_output_contents[0] as Buffer))),
  );
}

async function byHttp(): Promise<Buffer> {
  const input = (name: string) => ({ name, datatype: 'INT64', shape: [1, 4], parameters: { binary_data_size: 32 } });
  const outputs = [{ name: OUTPUT, parameters: { binary_data: true } }];
  const head = Buffer.from(JSON.stringify({ inputs: [input('input_ids'), input('attention_mask')], outputs }));
  const response = await fetch(`${stack.url}/v2/models/${MODEL}/infer`, {
    method: 'POST',
    headers: { 'inference-header-content-length': String(head.length), 'content-type': 'application/octet-stream' },
    body: Buffer.concat([head, ids, mask]),
  });
  const body = Buffer.from(await response.arrayBuffer());
  return body.subarray(Number(response.headers.get('inference-header-content-length')));
}

it('answers as HTTP does, and goes on when another API process takes over', async () => {
  const answer = await byGrpc();
  expect(answer.length).toBeGreaterThan(0);
  expect(answer.equals(await byHttp())).toBe(true);

  process.kill(await stack.pidOf('api-1'), 'SIGKILL');
  await until(
    async () => (await byGrpc()).equals(answer),
    30_000,
    () => 'gRPC does not answer after the API process was killed',
  );
});

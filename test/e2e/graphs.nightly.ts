import { copyFileSync, mkdirSync, renameSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import * as grpc from '@grpc/grpc-js';
import { loadSync } from '@grpc/proto-loader';
import { fileLines, openaiClient, submitEmbeddings } from '../support/batch-job';
import { fromBase64 } from '../support/embeddings';
import { embed, startLiveLoad } from '../support/live-load';
import { Stack, until } from '../support/stack';
import { languages, paragraphs } from '../support/udhr';

const MINUTES_10 = 10 * 60_000;
/** A worker is back within it on machines that are busy with other things too. */
const MINUTES_3 = 3 * 60_000;
const PROTO = join(__dirname, '../../apps/api/src/grpc/proto/inference.proto');
const TEXT_FILES = ['tokenizer.json', 'tokenizer_config.json', 'config.json'];
const STEPS = `steps:
  - model: encoder-tiny
    input_map: { input_ids: input_ids, attention_mask: attention_mask }
    output_map: { last_hidden_state: hidden }
  - model: pooler
    input_map: { hidden: hidden, attention_mask: attention_mask }
    output_map: { sentence_embedding: sentence_embedding }
`;
const ids = Buffer.from(BigInt64Array.of(2n, 9n, 8n, 3n).buffer);
const mask = Buffer.from(BigInt64Array.of(1n, 1n, 1n, 1n).buffer);

jest.setTimeout(MINUTES_10);

/** Its two steps are encoder-tiny cut in two: what it answers is known. */
describe('a graph of two models in two partitions', () => {
  const texts = paragraphs(languages().slice(0, 20)).map(({ text }) => text.slice(0, 300));
  let stack: Stack;

  beforeAll(async () => {
    stack = await Stack.start({
      models: ['encoder-tiny', 'pooler'],
      config: `
partitions:
  - { id: first, cpus: "0", models: [encoder-tiny] }
  - { id: second, cpus: "1", models: [pooler] }
realtime: { timeoutMs: ${MINUTES_3} }
`,
    });
    addGraph(stack, 'whole', `tokenIds: true\n${STEPS}`, TEXT_FILES);
    addGraph(stack, 'tensors', STEPS);
    await until(
      async () => (await isReady('whole')) && (await isReady('tensors')),
      60_000,
      () => stack.log().slice(-4000),
    );
  });
  afterAll(() => stack?.stop());

  const isReady = async (model: string): Promise<boolean> => (await fetch(`${stack.url}/v2/models/${model}/ready`)).status === 200;
  const post = async (path: string, body: object): Promise<Record<string, unknown>> => {
    const response = await fetch(`${stack.url}${path}`, {
      method: 'POST',
      body: JSON.stringify(body),
      headers: { 'content-type': 'application/json' },
    });
    if (response.status !== 200) throw new Error(`${response.status} ${await response.text()}`);
    return (await response.json()) as Record<string, unknown>;
  };
  const input = (name: string, data: number[]) => ({ name, datatype: 'INT64', shape: [1, data.length], data });
  const byJson = (model: string) =>
    post(`/v2/models/${model}/infer`, {
      inputs: [input('input_ids', [2, 9, 8, 3]), input('attention_mask', [1, 1, 1, 1])],
      outputs: [{ name: 'sentence_embedding' }],
    });

  const byBytes = async (model: string): Promise<Buffer> => {
    const binary = (name: string) => ({ name, datatype: 'INT64', shape: [1, 4], parameters: { binary_data_size: 32 } });
    const outputs = [{ name: 'sentence_embedding', parameters: { binary_data: true } }];
    const head = Buffer.from(JSON.stringify({ inputs: [binary('input_ids'), binary('attention_mask')], outputs }));
    const response = await fetch(`${stack.url}/v2/models/${model}/infer`, {
      method: 'POST',
      headers: { 'inference-header-content-length': String(head.length), 'content-type': 'application/octet-stream' },
      body: Buffer.concat([head, ids, mask]),
    });
    return Buffer.from(await response.arrayBuffer()).subarray(Number(response.headers.get('inference-header-content-length')));
  };

  const byGrpc = async (model: string): Promise<Buffer> => {
    const service = loadSync(PROTO, { keepCase: true })['inference.GRPCInferenceService'] as grpc.ServiceDefinition;
    const Made = grpc.makeClientConstructor(service, 'inference');
    const client = new Made(stack.grpcAddress, grpc.credentials.createInsecure());
    const tensor = (name: string) => ({ name, datatype: 'INT64', shape: [1, 4] });
    const inputs = [tensor('input_ids'), tensor('attention_mask')];
    const request = { model_name: model, inputs, outputs: [{ name: 'sentence_embedding' }], raw_input_contents: [ids, mask] };
    const infer = client['ModelInfer']?.bind(client) as (
      request: object,
      done: (error: Error | null, answer: { raw_output_contents: Buffer[] }) => void,
    ) => void;
    try {
      return await new Promise<Buffer>((resolve, reject) =>
        infer(request, (error, answer) => (error ? reject(error) : resolve(answer.raw_output_contents[0] as Buffer))),
      );
    } finally {
      client.close();
    }
  };

  it('answers by every protocol as the whole model does, to the bit', async () => {
    const whole = await byBytes('encoder-tiny');
    expect((await byBytes('tensors')).equals(whole)).toBe(true);
    expect((await byGrpc('tensors')).equals(whole)).toBe(true);
    expect((await byJson('tensors'))['outputs']).toEqual((await byJson('encoder-tiny'))['outputs']);
    const tensorInstances = [{ input_ids: [2, 9, 8, 3], attention_mask: [1, 1, 1, 1] }];
    expect(await post('/v1/models/tensors:predict', { instances: tensorInstances })).toMatchObject({ predictions: [expect.anything()] });
    for (const instances of [texts.slice(0, 4), texts.slice(4, 5)])
      expect((await post('/v1/models/whole:predict', { instances }))['predictions']).toEqual(
        (await post('/v1/models/encoder-tiny:predict', { instances }))['predictions'],
      );
  });

  it('says in answers and metrics how long each step took', async () => {
    const response = await embed(stack.url, 'whole', 'hello world');
    expect(response.headers.get('server-timing')).toMatch(/step;desc="1 encoder-tiny";dur=[\d.]+, step;desc="2 pooler";dur=/);
    const metrics = await (await fetch(`${stack.url}/metrics`)).text();
    expect(metrics).toMatch(/interleave_step_duration_seconds_count\{.*step="2 pooler".*\} \d+/);
  });

  it('loses no request and no row when workers of its steps are killed', async () => {
    const batchId = await submitEmbeddings(stack, 'whole', texts);
    const load = startLiveLoad({
      concurrency: 4,
      send: (sequence) => embed(stack.url, 'whole', texts[sequence % texts.length] ?? ''),
    });
    const client = openaiClient(stack);
    try {
      for (const worker of ['first-realtime', 'second-realtime', 'first-batch', 'second-batch']) {
        const pid = await stack.pidOf(worker);
        process.kill(pid, 'SIGKILL');
        await until(
          async () => (await stack.processes()).some(({ id, pid: next, state }) => id === worker && next !== pid && state === 'ready'),
          MINUTES_3,
          () => `${worker} is not back:\n${stack.log().slice(-4000)}`,
        );
      }
      await until(
        async () => (await client.batches.retrieve(batchId)).status === 'completed',
        MINUTES_10,
        () => stack.log().slice(-4000),
      );
    } finally {
      await load.stop();
    }
    expect(load.report.failures).toEqual([]);
    expect(load.report.answered).toBeGreaterThan(0);
    const batch = await client.batches.retrieve(batchId);
    expect(batch.request_counts).toEqual({ total: texts.length, completed: texts.length, failed: 0 });
    const lines = await fileLines(stack, batch.output_file_id);
    expect(lines.map(({ custom_id }) => custom_id)).toEqual(texts.map((_, index) => `row-${index}`));
    const vectors = lines.map((line) => fromBase64(line.response?.body.data[0]?.embedding ?? ''));
    expect(vectors.every((vector) => vector.length === 128)).toBe(true);
  });
});

/** As somebody does who puts a folder into MODELS_DIR of a node that serves. */
function addGraph({ dir }: Stack, name: string, modelYaml: string, textFiles: string[] = []): void {
  const folder = join(dir, 'new', name);
  mkdirSync(join(folder, '1'), { recursive: true });
  for (const file of textFiles) copyFileSync(join(dir, 'models/encoder-tiny', file), join(folder, '1', file));
  writeFileSync(join(folder, 'model.yaml'), modelYaml);
  renameSync(folder, join(dir, 'models', name));
}

import 'reflect-metadata';
import { mkdirSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { loadConfig, runPaths, type Config } from '@app/config';
import { ContentDigests, fingerprintOfVersion, openModelCatalog } from '@app/models';
import { LocalStore } from '@app/batches';
import { writePlacement } from '@app/process';
import { createLogger } from '@app/telemetry';
import type { NestFastifyApplication } from '@nestjs/platform-fastify';
import OpenAI, { toFile } from 'openai';
import { Registry } from 'prom-client';
import { LaneModule } from '../apps/api/src/lane/lane.module';
import { createServer } from '../apps/api/src/server';
import { openRunner, type OpenRunner } from '../apps/runner/src/open-runner';
import { ModelPins } from '../apps/runner/src/chunks/model-pins';
import { ModelEngine } from '../apps/runner/src/chunks/row-engine';
import { TestRedis } from '../apps/runner/src/testing/redis-server';
import { buildModels } from '../tools/model-builder/src/models';
import { OrtBackend } from './fixtures/ort-backend';

const MODEL = 'encoder-tiny';
const LIMITS = { itemsMax: 16, tensorBytesMax: 1 << 20 };
const TERMINAL = ['completed', 'failed', 'expired', 'cancelled'];

/** What the answers of all endpoints may hold. */
interface AnswerBody {
  data: [{ embedding: number[] }];
  predictions: unknown[];
  tokens: number[];
  error: { param: string | null };
}

interface Line {
  custom_id: string;
  response: { status_code: number; body: AnswerBody } | null;
  error: { code: string } | null;
}

/** API and batch lane in this process, real models and Redis; only the workers are replaced by onnxruntime-node. */
describe('batches through the official client', () => {
  const directory = mkdtempSync(join(tmpdir(), 'il-e2e-batch-'));
  const redis = new TestRedis(directory);
  let config: Config;
  let lane: OpenRunner;
  let app: NestFastifyApplication;
  let client: OpenAI;

  beforeAll(async () => {
    const base = loadConfig({
      DATA_DIR: directory,
      RUN_DIR: directory,
      MODELS_DIR: join(directory, 'models'),
      REDIS_URL: `unix://${redis.socketPath}`,
      LOG_LEVEL: 'fatal',
      PORT: '0',
      GRPC_PORT: '0',
    });
    config = { ...base, batch: { ...base.batch, chunkRows: 16, diskFreeBytesMin: 0 } };
    mkdirSync(config.runDir, { recursive: true });
    writePlacement(runPaths(config.runDir).placement, { formatVersion: 1, partitions: [], workers: [] });
    buildModels(config.modelsDir, [MODEL]);
    await redis.start();
    const logger = createLogger('test', 'fatal');
    const backend = await OrtBackend.load([{ name: MODEL, version: '1', path: join(config.modelsDir, MODEL, 'model.onnx') }]);
    const catalog = await openModelCatalog(config.modelsDir, 'batch', logger);
    catalog.applyReports(backend.models());
    app = await createServer({ config, id: 'api', turn: null, logger, tracing: null, lane: LaneModule.of(backend, backend, catalog) });
    await app.listen(0, '127.0.0.1');
    const fingerprint = fingerprintOfVersion(config.modelsDir, MODEL, '1') ?? '';
    const planned = backend.models().map(({ name, version, revision }) => ({ name, version, revision, fingerprint }));
    const engine = new ModelEngine(
      catalog,
      backend,
      LIMITS,
      new ModelPins(
        catalog,
        () => planned,
        new ContentDigests(config.modelsDir, logger),
        () => false,
      ),
    );
    lane = await openRunner(config, {
      nodeId: 'node',
      engine,
      store: new LocalStore(directory),
      crashes: 0,
      log: logger,
      registry: new Registry(),
      reconcileMs: 1000,
      refusal: async () => null,
    });
    client = new OpenAI({ baseURL: `${await app.getUrl()}/v1`, apiKey: 'none', maxRetries: 0 });
  });

  afterAll(async () => {
    await lane.close(0);
    await app.close();
    await redis.kill();
    rmSync(directory, { recursive: true });
  });

  async function run(endpoint: string, bodies: object[]): Promise<{ batch: OpenAI.Batch; outputs: Line[]; errors: Line[] }> {
    const rows = bodies.map((body, index) => ({ custom_id: `row-${index}`, method: 'POST', url: endpoint, body }));
    const file = await client.files.create({
      purpose: 'batch',
      file: await toFile(Buffer.from(rows.map((row) => JSON.stringify(row)).join('\n')), 'rows.jsonl'),
    });
    let batch = await client.batches.create({ input_file_id: file.id, endpoint: endpoint as '/v1/embeddings', completion_window: '24h' });
    while (!TERMINAL.includes(batch.status)) {
      await sleep(50);
      batch = await client.batches.retrieve(batch.id);
    }
    return { batch, outputs: await linesOf(batch.output_file_id), errors: await linesOf(batch.error_file_id) };
  }

  async function linesOf(fileId: string | null | undefined): Promise<Line[]> {
    if (fileId === null || fileId === undefined) return [];
    const text = await (await client.files.content(fileId)).text();
    return text
      .split('\n')
      .slice(0, -1)
      .map((line) => JSON.parse(line) as Line);
  }

  it('embeds rows as the live endpoint does, in input order', async () => {
    const texts = Array.from(
      { length: 100 },
      (_, index) => `Article ${index}: all human beings are born free and equal in dignity. ${'Truly. '.repeat(index % 9)}`,
    );
    const { batch, outputs, errors } = await run(
      '/v1/embeddings',
      texts.map((input) => ({ model: MODEL, input })),
    );
    expect(batch).toMatchObject({ status: 'completed', model: MODEL, request_counts: { total: 100, completed: 100, failed: 0 } });
    expect(errors).toEqual([]);
    expect(outputs.map(({ custom_id: id }) => id)).toEqual(texts.map((_, index) => `row-${index}`));
    for (const index of [0, 17, 99]) {
      const live = await client.embeddings.create({ model: MODEL, input: texts[index] ?? '', encoding_format: 'float' });
      expect(outputs[index]?.response?.body.data[0].embedding).toEqual(live.data[0]?.embedding);
    }
  });

  it('serves :predict and infer rows in the shapes of their endpoints', async () => {
    const predicted = await run(`/v1/models/${MODEL}:predict`, [{ instances: ['a text', { text: 'another' }] }, { instances: [] }]);
    expect(predicted.outputs[0]?.response?.body.predictions).toHaveLength(2);
    expect(predicted.errors[0]?.response).toMatchObject({ status_code: 400, body: { error: expect.stringContaining('instances') } });
    const inputs = ['input_ids', 'attention_mask'].map((name) => ({ name, datatype: 'INT64', shape: [1, 3], data: [1, 1, 1] }));
    const inferred = await run(`/v2/models/${MODEL}/infer`, [
      { id: 'mine', inputs, outputs: [{ name: 'sentence_embedding' }] },
      { inputs, parameters: { binary_data_output: true } },
    ]);
    expect(inferred.outputs[0]?.response?.body).toMatchObject({
      id: 'mine',
      model_name: MODEL,
      outputs: [{ name: 'sentence_embedding', shape: [1, 128] }],
    });
    expect(inferred.errors[0]).toMatchObject({ custom_id: 'row-1', error: { code: 'invalid_request' } });
  });

  it('tokenizes rows, for which nothing is run', async () => {
    const { outputs, errors } = await run('/v1/tokenize', [{ model: MODEL, prompt: 'born free' }, { model: MODEL }]);
    expect(outputs[0]?.response?.body).toMatchObject({
      model: MODEL,
      max_model_len: 2048,
      count: outputs[0]?.response?.body.tokens.length,
    });
    expect(errors[0]?.response).toMatchObject({ status_code: 400, body: { error: { param: 'prompt' } } });
  });

  it('gives every bad body an error line of its own, and completes the rest', async () => {
    const bodies = [
      { model: MODEL, input: 'good' },
      { model: MODEL },
      { model: MODEL, input: [] },
      { model: MODEL, input: 'x', dimensions: 0 },
      { input: 'no model' },
      { model: MODEL, input: 'good too' },
    ];
    const { batch, outputs, errors } = await run('/v1/embeddings', bodies);
    expect(batch).toMatchObject({ status: 'completed', request_counts: { total: 6, completed: 2, failed: 4 } });
    expect(outputs.map(({ custom_id: id }) => id)).toEqual(['row-0', 'row-5']);
    expect(errors.map(({ response, error }) => [response?.status_code, error?.code, response?.body.error.param])).toEqual([
      [400, 'invalid_request', 'input'],
      [400, 'invalid_request', 'input'],
      [400, 'invalid_request', 'dimensions'],
      [400, 'invalid_request', 'model'],
    ]);
  });

  it('fails a batch for a model that does not exist', async () => {
    const { batch } = await run('/v1/models/nobody:predict', [{ instances: ['x'] }]);
    expect(batch).toMatchObject({ status: 'failed', errors: { data: [{ code: 'model_not_found' }] } });
  });
});

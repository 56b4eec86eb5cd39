import { cpSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { InferenceItem, ItemResult } from '@app/contracts';
import { openModelCatalog, type ModelCatalog } from '@app/models';
import { createLogger } from '@app/telemetry';
import { OrtBackend } from '../../../test/fixtures/ort-backend';
import { parseEndpoint, prepare, runPrepared, type Endpoint } from '.';

const FIXTURES = join(__dirname, '../../../test/fixtures/sentence-transformers');
const limits = { itemsMax: 4, tensorBytesMax: 1 << 20 };
const EMBEDDINGS = parseEndpoint('/v1/embeddings') as Endpoint;
const PREDICT = parseEndpoint('/v1/models/m:predict') as Endpoint;

/** An export with the prompts `query` (default), `document` and `none`. */
describe('answers to texts', () => {
  const root = mkdtempSync(join(tmpdir(), 'answers-'));
  let backend: OrtBackend;
  let catalog: ModelCatalog;
  beforeAll(async () => {
    for (const part of ['shared/bert', 'cases/prompts']) cpSync(join(FIXTURES, part), join(root, 'm'), { recursive: true });
    backend = await OrtBackend.load([{ name: 'm', version: '1', path: join(root, 'm/model.onnx') }]);
    catalog = await openModelCatalog(root, 'realtime', createLogger('test', 'silent'));
    catalog.applyReports(backend.models());
  });
  afterAll(async () => {
    await backend.close();
    rmSync(root, { recursive: true, force: true });
  });

  const post = async (endpoint: Endpoint, body: object): Promise<unknown> =>
    (await runPrepared(backend, await prepare(endpoint, body, null, catalog, limits), null)).body;
  const embeddings = async (body: object): Promise<unknown[]> =>
    ((await post(EMBEDDINGS, { model: 'm', ...body })) as { data: { embedding: unknown }[] }).data.map(({ embedding }) => embedding);
  const predictions = async (body: object): Promise<unknown[]> => ((await post(PREDICT, body)) as { predictions: unknown[] }).predictions;

  it('a prompt is chosen by name at both endpoints', async () => {
    const [usual] = await embeddings({ input: 'hello' });
    const [named] = await embeddings({ input: 'hello', prompt_name: 'query' });
    const [bare] = await embeddings({ input: 'query : hello', prompt_name: 'none' });
    expect(named).toEqual(usual);
    expect(bare).toEqual(usual);
    expect(await embeddings({ input: 'hello', prompt_name: 'document' })).not.toEqual([usual]);
    expect(await predictions({ instances: ['hello'] })).toEqual([usual]);
    expect(await predictions({ instances: ['query : hello'], parameters: { prompt_name: 'none' } })).toEqual([usual]);
  });

  it.each([
    ['query', 'query'],
    ['search_query', 'query'],
    ['document', 'document'],
    ['search_document', 'document'],
  ])('input_type %s is the prompt %s', async (input_type, prompt_name) => {
    expect(await embeddings({ input: 'hello', input_type })).toEqual(await embeddings({ input: 'hello', prompt_name }));
  });

  it.each([
    [
      EMBEDDINGS,
      { model: 'm', input: 'a', input_type: 'classification' },
      'input_type',
      /expected "document" or "none" or "query" for input_type but received "classification"/,
    ],
    [
      EMBEDDINGS,
      { model: 'm', input: 'a', input_type: 'query', prompt_name: 'document' },
      'input_type',
      /one of prompt_name and input_type but received "document" and "query"/,
    ],
    [EMBEDDINGS, { model: 'm', input: 'a', truncate: 'start' }, 'truncate', /expected no prompt where texts lose their start/],
    [
      EMBEDDINGS,
      { model: 'm', input: 'a', dimensions: 3 },
      'dimensions',
      /expected 8 for dimensions but received 3: nothing in the files .* sets "dimensions: any"/,
    ],
    [
      EMBEDDINGS,
      { model: 'm', input: 'a', prompt_name: 'x' },
      'prompt_name',
      /expected "document" or "none" or "query" for prompt_name but received "x"/,
    ],
    [EMBEDDINGS, { model: 'm', input: 'a', prompt_name: 7 }, 'prompt_name', /expected a string for prompt_name/],
    [EMBEDDINGS, { model: 'm', input: [2, 5, 3], prompt_name: 'query' }, 'prompt_name', /expected texts with prompt_name/],
    [PREDICT, { instances: ['a'], parameters: { prompt_name: 'x' } }, 'prompt_name', /received "x"/],
  ])('a prompt that there is not: %j %j', async (endpoint, body, param, message) => {
    await expect(post(endpoint, body)).rejects.toMatchObject({
      code: 'invalid_request',
      param,
      message: expect.stringMatching(message) as string,
    });
  });

  /** As runs with other neighbours may: the numbers of no two items are equal. */
  const withNoise = async (items: InferenceItem[]): Promise<ItemResult[]> => {
    const results = (await backend.infer({ model: 'm', version: '1', items, timeoutMs: null, priority: 0, signal: null })) as ItemResult[];
    const noisy = (data: Uint8Array, i: number): Uint8Array =>
      new Uint8Array(new Float32Array(data.slice().buffer).map((value, at) => value + (at % 3) * i * 1e-3).buffer);
    return results.map((result, i) => ({
      ...result,
      outputs: result.outputs.map((output) => ({ ...output, data: noisy(output.data, i) })),
    }));
  };

  it.each([
    [EMBEDDINGS, { model: 'm', input: ['a', 'b', ' a ', 'b'] }],
    [EMBEDDINGS, { model: 'm', input: ['a', 'b', ' a ', 'b'], encoding_format: 'base64' }],
    [PREDICT, { instances: ['a', 'b', ' a ', 'b'] }],
  ])('texts with equal tokens are run once and have equal answers: %j %j', async (endpoint, body) => {
    const prepared = await prepare(endpoint, body, null, catalog, limits);
    expect(prepared.items).toHaveLength(2);
    const alone = await prepare(EMBEDDINGS, { model: 'm', input: 'a' }, null, catalog, limits);
    expect(prepared.tokenCount).toBe(4 * alone.tokenCount);
    const answer = (await prepared.respond(await withNoise(prepared.items))).body as {
      data?: { embedding: unknown }[];
      predictions?: unknown[];
    };
    const [a, b, ...others] = answer.predictions ?? answer.data?.map(({ embedding }) => embedding) ?? [];
    expect(others).toEqual([a, b]);
    expect(b).not.toEqual(a);
  });

  it('each text is run where equal ones may have different answers', async () => {
    const model = { ...catalog.find('m', null), deduplicate: false };
    const random = { ...catalog, find: () => model } as unknown as ModelCatalog;
    for (const [endpoint, body] of [
      [EMBEDDINGS, { model: 'm', input: ['a', 'a'] }],
      [PREDICT, { instances: ['a', 'a'] }],
    ] as const) {
      const prepared = await prepare(endpoint, body, null, random, limits);
      expect(prepared.items).toHaveLength(2);
      const answer = (await prepared.respond(await withNoise(prepared.items))).body as { data?: unknown[]; predictions?: unknown[] };
      expect(new Set((answer.predictions ?? answer.data)?.map((each) => JSON.stringify(each))).size).toBe(2);
    }
  });

  /** What the model gives, but NaN for the second text. */
  const withNan = async (items: InferenceItem[]): Promise<ItemResult[]> => {
    const results = (await backend.infer({ model: 'm', version: '1', items, timeoutMs: null, priority: 0, signal: null })) as ItemResult[];
    const spoil = (data: Uint8Array): Uint8Array => new Uint8Array(new Float32Array(data.length / 4).fill(NaN).buffer);
    return results.map((result, i) =>
      i === 1 ? { ...result, outputs: result.outputs.map((output) => ({ ...output, data: spoil(output.data) })) } : result,
    );
  };

  it.each([
    [EMBEDDINGS, { model: 'm', input: ['a', 'b'] }, 'input[1]'],
    [EMBEDDINGS, { model: 'm', input: ['a', 'b'], encoding_format: 'base64' }, 'input[1]'],
    [PREDICT, { instances: ['a', 'b'] }, 'instances[1]'],
  ])('NaN fails the request, with the text that it is for: %j %j', async (endpoint, body, param) => {
    const prepared = await prepare(endpoint, body, null, catalog, limits);
    const results = await withNan(prepared.items);
    await expect(Promise.resolve(prepared.respond(results))).rejects.toMatchObject({
      code: 'inference_failed',
      param,
      message: expect.stringContaining(`${param}: expected finite numbers from the output`) as string,
    });
  });
});

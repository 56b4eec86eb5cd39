import { appendFileSync, cpSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { openModelCatalog, type ModelCatalog } from '@app/models';
import {
  allSucceeded,
  parseEndpoint,
  prepare,
  runItems,
  toJsonText,
  type Endpoint,
  type PreparedItems,
  type PreparedRequest,
  type ResponseBody,
} from '@app/protocols';
import { createLogger } from '@app/telemetry';
import { Registry } from 'prom-client';
import { OrtBackend } from '../../../../test/fixtures/ort-backend';
import { CachedRuns, type CacheUse } from './cached-runs';
import { ResponseCache } from './response-cache';

const FIXTURES = join(__dirname, '../../../../test/fixtures/sentence-transformers');
const limits = { itemsMax: 64, tensorBytesMax: 1 << 26 };
const EMBEDDINGS = parseEndpoint('/v1/embeddings') as Endpoint;
const PREDICT = parseEndpoint('/v1/models/m:predict') as Endpoint;
const INFER = parseEndpoint('/v2/models/m/infer') as Endpoint;

/** With the real runtime, over a real export. */
describe('CachedRuns', () => {
  const root = mkdtempSync(join(tmpdir(), 'cached-'));
  let backend: OrtBackend;
  let catalog: ModelCatalog;
  let runs: CachedRuns;
  let nowMs: number;
  beforeAll(async () => {
    for (const part of ['shared/bert', 'cases/prompts']) cpSync(join(FIXTURES, part), join(root, 'm'), { recursive: true });
    appendFileSync(join(root, 'm/model.yaml'), '\ncache: { ttlSeconds: 10 }\ndimensions: any\n');
    backend = await OrtBackend.load([{ name: 'm', version: '1', path: join(root, 'm/model.onnx') }]);
    catalog = await openModelCatalog(root, 'realtime', createLogger('test', 'silent'));
    catalog.applyReports(backend.models());
  });
  afterAll(async () => {
    await backend.close();
    rmSync(root, { recursive: true, force: true });
  });
  beforeEach(() => {
    nowMs = 0;
    runs = new CachedRuns(new Registry(), catalog, new ResponseCache(1 << 20, () => nowMs));
  });

  const prepared = (endpoint: Endpoint, body: object): Promise<PreparedRequest> => prepare(endpoint, body, null, catalog, limits);
  const fresh = async (request: PreparedItems) =>
    allSucceeded(await runItems(backend, request, { timeoutMs: null, priority: 0, signal: null }));
  const bytesOf = (response: ResponseBody): string =>
    response.kind === 'bytes' ? Buffer.from(response.body).toString('hex') : toJsonText(response.body);
  const ask = async (endpoint: Endpoint, body: object, tenant = 't'): Promise<[string, CacheUse | null]> => {
    const request = await prepared(endpoint, body);
    const { results, cache } = await runs.run(request, tenant, fresh);
    return [bytesOf(await request.respond(results)), cache];
  };
  const infer = (parameters: object) => ({
    inputs: ['input_ids', 'attention_mask'].map((name) => ({
      name,
      datatype: 'INT64',
      shape: [1, 3],
      data: name === 'input_ids' ? [2, 5, 3] : [1, 1, 1],
    })),
    parameters,
  });

  it.each<[string, Endpoint, object]>([
    ['vectors', EMBEDDINGS, { model: 'm', input: ['hello', 'world'] }],
    ['vectors in base64', EMBEDDINGS, { model: 'm', input: ['hello', 'world'], encoding_format: 'base64' }],
    ['shortened vectors', EMBEDDINGS, { model: 'm', input: 'hello', dimensions: 2 }],
    ['predictions', PREDICT, { instances: ['hello', 'hello world'] }],
    ['tensors', INFER, infer({})],
    ['binary tensors', INFER, infer({ binary_data_output: true })],
  ])('gives %s the bytes of a fresh answer, each time', async (_name, endpoint, body) => {
    const request = await prepared(endpoint, body);
    const expected = bytesOf(await request.respond(await fresh(request)));
    const [first, miss] = await ask(endpoint, body);
    const [second, hit] = await ask(endpoint, body);
    const [third] = await ask(endpoint, body);
    expect([first, second, third]).toEqual([expected, expected, expected]);
    expect([miss?.hits, hit?.misses]).toEqual([0, 0]);
  });

  it('shares answers between protocols, but not between tenants or prompts, nor past their time', async () => {
    await ask(EMBEDDINGS, { model: 'm', input: 'hello' });
    const use = async (endpoint: Endpoint, body: object, tenant?: string) => (await ask(endpoint, body, tenant))[1];
    expect(await use(PREDICT, { instances: ['hello'] })).toEqual({ hits: 1, misses: 0 });
    expect(await use(PREDICT, { instances: ['hello'] }, 'other')).toEqual({ hits: 0, misses: 1 });
    expect(await use(EMBEDDINGS, { model: 'm', input: 'hello', prompt_name: 'document' })).toEqual({ hits: 0, misses: 1 });
    nowMs = 10_000;
    expect(await use(PREDICT, { instances: ['hello'] })).toEqual({ hits: 0, misses: 1 });
  });

  it('puts kept and fresh items into their order', async () => {
    const texts = ['a', 'b', 'c', 'd', 'e'].map((letter) => `${letter} hello`);
    await ask(PREDICT, { instances: [texts[1], texts[3]] });
    const [mixed, use] = await ask(PREDICT, { instances: texts });
    const alone = await Promise.all(texts.map(async (text) => (await ask(PREDICT, { instances: [text] }, 'fresh'))[0]));
    expect(use).toEqual({ hits: 2, misses: 3 });
    expect(JSON.parse(mixed)).toEqual({
      predictions: alone.flatMap((text) => (JSON.parse(text) as { predictions: unknown[] }).predictions),
    });
  });

  it('does not keep what was computed by a worker that has gone since', async () => {
    const cache = new ResponseCache(1 << 20);
    runs = new CachedRuns(new Registry(), catalog, cache);
    const request = await prepared(PREDICT, { instances: ['hello', 'world'] });
    await runs.run(request, 't', async (missing) => {
      const results = await fresh(missing);
      catalog.applyReports(backend.models().map((report) => ({ ...report, state: 'loading' })));
      return results;
    });
    expect(cache.bytes).toBe(0);
    catalog.applyReports(backend.models());
    await runs.run(request, 't', fresh);
    expect(cache.bytes).toBeGreaterThan(0);
  });

  it('never gives the answer of other files, and forgets those of files that are served no more', async () => {
    const cache = new ResponseCache(1 << 20);
    runs = new CachedRuns(new Registry(), catalog, cache);
    const [report] = backend.models();
    const request = await prepared(PREDICT, { instances: ['hello'] });
    expect((await runs.run(request, 't', fresh)).cache).toEqual({ hits: 0, misses: 1 });
    expect((await runs.run(request, 't', fresh)).cache).toEqual({ hits: 1, misses: 0 });
    catalog.applyReports([{ ...report!, revision: report!.revision + 1 }]);
    expect(cache.bytes).toBe(0);
    const anew = await prepared(PREDICT, { instances: ['hello'] });
    expect(anew.revision).toBe(report!.revision + 1);
    expect((await runs.run(anew, 't', () => fresh(request))).cache).toEqual({ hits: 0, misses: 1 });
    // What was prepared before goes by without the cache.
    expect((await runs.run(request, 't', fresh)).cache).toBeNull();
    catalog.applyReports(backend.models());
  });

  it('never gives the answer that other files of other nodes made', async () => {
    const cache = new ResponseCache(1 << 20);
    runs = new CachedRuns(new Registry(), catalog, cache);
    const have = (remoteFiles: string): void => catalog.applyReports(backend.models().map((report) => ({ ...report, remoteFiles })));
    have('one');
    const request = await prepared(PREDICT, { instances: ['hello'] });
    expect((await runs.run(request, 't', fresh)).cache).toEqual({ hits: 0, misses: 1 });
    expect((await runs.run(request, 't', fresh)).cache).toEqual({ hits: 1, misses: 0 });
    have('two');
    expect(cache.bytes).toBe(0);
    // What was prepared before is not kept for those who come now.
    await runs.run(request, 't', fresh);
    expect(cache.bytes).toBe(0);
    const anew = await prepared(PREDICT, { instances: ['hello'] });
    expect((await runs.run(anew, 't', () => fresh(request))).cache).toEqual({ hits: 0, misses: 1 });
    expect(cache.bytes).toBeGreaterThan(0);
    catalog.applyReports(backend.models());
  });

  it('does not hash a large request', async () => {
    const request = await prepared(PREDICT, { instances: ['hello'] });
    const [item] = request.items;
    const data = new Uint8Array(3 * 1024 * 1024);
    const large = { ...request, items: [{ outputs: null, inputs: [{ ...item!.inputs[0]!, data }] }] };
    expect((await runs.run(large, 't', () => Promise.resolve([]))).cache).toBeNull();
  });
});

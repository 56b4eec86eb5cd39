import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { InferenceItem, ItemResult } from '@app/contracts';
import { openModelCatalog, type ModelCatalog } from '@app/models';
import { createLogger } from '@app/telemetry';
import { serveModels, type ServedModels } from '../../../test/fixtures/served-models';
import { parseEndpoint, prepare, runPrepared, type Endpoint } from '.';
import { AnswerSize } from './text-request';

const limits = { itemsMax: 64, tensorBytesMax: 1 << 20 };
const EMBEDDINGS = parseEndpoint('/v1/embeddings') as Endpoint;

interface Sparse {
  indices: number[];
  values: number[];
}

/** Sparse vectors and vectors of tokens, against what bare ONNX Runtime gives. */
describe('POST /v1/embeddings of other kinds of vectors', () => {
  let served: ServedModels;
  let { catalog } = {} as { catalog: ModelCatalog };
  beforeAll(async () => {
    served = await serveModels(['splade', 'multi-vector', 'encoder-tiny']);
    catalog = served.catalog;
  });
  afterAll(() => served.close());

  /** With some of a model's files changed, for one call. */
  const withFiles = async <T>(files: Record<string, object | string>, call: () => Promise<T>): Promise<T> => {
    const before = Object.keys(files).map((name) => [join(served.modelsDir, name), readFileSync(join(served.modelsDir, name))] as const);
    try {
      for (const [name, content] of Object.entries(files))
        writeFileSync(join(served.modelsDir, name), typeof content === 'string' ? content : JSON.stringify(content));
      catalog = await openModelCatalog(served.modelsDir, 'realtime', createLogger('test', 'silent'));
      catalog.applyReports(served.backend.models());
      return await call();
    } finally {
      for (const [path, content] of before) writeFileSync(path, content);
      catalog = served.catalog;
    }
  };
  const embeddings = async <T>(body: object): Promise<T[]> => {
    const answer = await runPrepared(served.backend, await prepare(EMBEDDINGS, body, null, catalog, limits), null);
    return (answer.body as { data: { embedding: T }[] }).data.map(({ embedding }) => embedding);
  };
  /** [tokens][width] of one text, as the graph gives it. */
  const graphRows = async (model: string, text: string): Promise<number[][]> => {
    const { items } = await prepare(EMBEDDINGS, { model, input: text }, null, served.catalog, limits);
    const request = { model, version: '1', items: items as InferenceItem[], timeoutMs: null, priority: 0, signal: null };
    const [result] = (await served.backend.infer(request)) as ItemResult[];
    const tensor = result?.outputs[0];
    const values = new Float32Array(tensor?.data.slice().buffer as ArrayBuffer);
    const [, tokens = 0, width = 0] = tensor?.shape ?? [];
    return Array.from({ length: tokens }, (_, i) => Array.from(values.subarray(i * width, (i + 1) * width)));
  };
  const dense = ({ indices, values }: Sparse, width: number): number[] => {
    const vector = new Array<number>(width).fill(0);
    indices.forEach((index, i) => (vector[index] = values[i] as number));
    return vector;
  };
  const TEXT = 'All human beings are born free.';
  const WIDTH = 3000;

  const relu = (x: number): number => Math.max(x, 0);
  const ways: [string, object, (column: number[]) => number][] = [
    ['max', {}, (column) => Math.max(...column.map((x) => Math.log(1 + relu(x))))],
    ['sum', { pooling_strategy: 'sum' }, (column) => column.reduce((sum, x) => sum + Math.log(1 + relu(x)), 0)],
    [
      'max of log1p_relu',
      { activation_function: 'log1p_relu' },
      (column) => Math.max(...column.map((x) => Math.log(1 + Math.log(1 + relu(x))))),
    ],
    [
      'sum of log1p_relu',
      { pooling_strategy: 'sum', activation_function: 'log1p_relu' },
      (column) => column.reduce((sum, x) => sum + Math.log(1 + Math.log(1 + relu(x))), 0),
    ],
  ];
  it.each(ways)('pools logits as SpladePooling does: %s', async (_, config, poolingOf) => {
    const rows = await graphRows('splade', TEXT);
    const expected = Array.from({ length: WIDTH }, (_word, i) => poolingOf(rows.map((row) => row[i] as number)));
    const [vector] = await withFiles({ 'splade/1_SpladePooling/config.json': config }, () =>
      embeddings<Sparse>({ model: 'splade', input: TEXT }),
    );
    const { indices, values } = vector as Sparse;
    expect(indices).toEqual(expected.flatMap((value, i) => (value > 0 ? [i] : [])));
    expect(indices.length).toBeLessThan(WIDTH);
    dense({ indices, values }, WIDTH).forEach((value, i) => expect(value).toBeCloseTo(expected[i] as number, 5));
  });

  it('keeps max_active_dims weights, the largest', async () => {
    const [all] = await embeddings<Sparse>({ model: 'splade', input: TEXT });
    const files = { 'splade/config_sentence_transformers.json': { model_type: 'SparseEncoder', max_active_dims: 5 } };
    const [few] = await withFiles(files, () => embeddings<Sparse>({ model: 'splade', input: TEXT }));
    const best = [...(all as Sparse).values].sort((a, b) => b - a).slice(0, 5);
    expect([...(few as Sparse).values].sort((a, b) => b - a)).toEqual(best);
    expect((few as Sparse).indices).toEqual([...(few as Sparse).indices].sort((a, b) => a - b));
  });

  it('fails for a logit that is not a number, and takes minus infinity for nothing', async () => {
    const prepared = await prepare(EMBEDDINGS, { model: 'splade', input: ['a', 'b'] }, null, served.catalog, limits);
    const { items } = prepared;
    const request = { model: 'splade', version: '1', items, timeoutMs: null, priority: 0, signal: null };
    const results = (await served.backend.infer(request)) as ItemResult[];
    const data = results[1]?.outputs[0]?.data as Uint8Array;
    const view = new DataView(data.buffer, data.byteOffset);
    view.setFloat32(0, -Infinity, true);
    const answer = (await prepared.respond(results)).body as unknown as { data: { embedding: Sparse }[] };
    expect(answer.data[1]?.embedding.values.every(Number.isFinite)).toBe(true);
    view.setFloat32(data.byteLength - 4, NaN, true);
    await expect(prepared.respond(results)).rejects.toMatchObject({ code: 'inference_failed', param: 'input[1]' });
  });

  it('gives a vector of length 1 for each token', async () => {
    const rows = await graphRows('multi-vector', TEXT);
    const [vectors] = await embeddings<number[][]>({ model: 'multi-vector', input: TEXT });
    expect(vectors).toHaveLength(rows.length);
    rows.forEach((row, i) => {
      const length = Math.hypot(...row);
      row.forEach((value, j) => expect(vectors?.[i]?.[j]).toBeCloseTo(value / length, 6));
    });
  });

  it.each([
    ['normalize: false', 0, false],
    ['skipFirstToken: true', 1, true],
  ])('does as model.yaml says: %s', async (line, skipped, normalizes) => {
    const rows = (await graphRows('multi-vector', TEXT)).slice(skipped);
    const files = { 'multi-vector/model.yaml': `task: multi-vector\nembeddingOutput: token_vectors\n${line}\n` };
    const [vectors] = await withFiles(files, () => embeddings<number[][]>({ model: 'multi-vector', input: TEXT }));
    const expected = rows.map((row) => row.map((value) => expect.closeTo(normalizes ? value / Math.hypot(...row) : value, 6) as number));
    expect(vectors).toEqual(expected);
  });

  it.each([
    ['splade', { encoding_format: 'base64' }, 'encoding_format', /no single vector/],
    ['multi-vector', { encoding_format: 'base64' }, 'encoding_format', /no single vector/],
    ['splade', { dimensions: 8 }, 'dimensions', /expected no dimensions/],
    ['multi-vector', { dimensions: 8 }, 'dimensions', /expected no dimensions/],
  ])('refuses of %s what it cannot do: %j', async (model, field, param, message) => {
    await expect(embeddings({ model, input: 'a', ...field })).rejects.toMatchObject({
      code: 'invalid_request',
      param,
      message: expect.stringMatching(message) as string,
    });
  });

  it('bounds the numbers of an answer', () => {
    const size = new AnswerSize('input', 6);
    expect(size.add({ indices: [1, 2], values: [1, 2] })).toEqual({ indices: [1, 2], values: [1, 2] });
    size.add([
      [1, 2],
      [3, 4],
    ]);
    size.add([1, 2, 3]);
    expect(() => size.add({ indices: [1], values: [1] })).toThrow(/at most 6 numbers in the answer/);
    expect(() =>
      new AnswerSize('instances', 3).add([
        [1, 2],
        [3, 4],
      ]),
    ).toThrow(/fewer or shorter texts/);
  });

  it('gives the same vectors at :predict', async () => {
    for (const model of ['splade', 'multi-vector']) {
      const predict = parseEndpoint(`/v1/models/${model}:predict`) as Endpoint;
      const { body } = await runPrepared(served.backend, await prepare(predict, { instances: [TEXT] }, null, served.catalog, limits), null);
      expect((body as { predictions: unknown[] }).predictions).toEqual(await embeddings({ model, input: TEXT }));
    }
  });

  const refused: [string, Record<string, object | string>, RegExp][] = [
    [
      'a module after the pooling',
      {
        'splade/modules.json': [
          { type: 'sentence_transformers.x.MLMTransformer', path: '' },
          { type: 'sentence_transformers.x.SpladePooling', path: '1_SpladePooling' },
          { type: 'sentence_transformers.x.Normalize', path: '' },
        ],
      },
      /no module after the SpladePooling but found/,
    ],
    [
      'a Transformer that gives token vectors',
      {
        'splade/modules.json': [
          { type: 'sentence_transformers.x.Transformer', path: '' },
          { type: 'sentence_transformers.x.SpladePooling', path: '1_SpladePooling' },
        ],
      },
      /transformer_task "fill-mask"/,
    ],
    [
      'another first module',
      { 'splade/modules.json': [{ type: 'sentence_transformers.x.Router', path: '' }] },
      /MLMTransformer .* first module but found "sentence_transformers\.x\.Router"/,
    ],
    ['an unknown key', { 'splade/1_SpladePooling/config.json': { temperature: 2 } }, /"temperature"/],
    ['an unknown function', { 'splade/1_SpladePooling/config.json': { activation_function: 'gelu' } }, /activation_function/],
    ['no name of an output', { 'multi-vector/model.yaml': 'task: multi-vector' }, /needs embeddingOutput in model\.yaml/],
    [
      'an output that there is not',
      { 'splade/config.json': {}, 'multi-vector/model.yaml': 'task: sparse' },
      /needs an output sparse_embedding or sentence_embedding \[batch, vocabulary\]/,
    ],
  ];
  it.each(refused)('refuses %s, and says so', async (_, files, reason) => {
    await withFiles(files, async () => {
      const failed = catalog.list().find(({ state }) => state === 'failed');
      expect(failed?.reason).toMatch(reason);
      return Promise.resolve();
    });
  });
});

import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import {
  InterleaveError,
  type GraphPlan,
  type GraphStepPlan,
  type InferenceItem,
  type ItemResult,
  type Placement,
  type StepKind,
  type Tensor,
} from '@app/contracts';
import { openModelCatalog, type ModelCatalog } from '@app/models';
import { createLogger } from '@app/telemetry';
import { joinStrings, OrtBackend } from '../../../test/fixtures/ort-backend';
import { addEncoder } from '../../../tools/model-builder/src/encoder';
import { GraphBuilder } from '../../../tools/model-builder/src/graph';
import { buildTokenizer } from '../../../tools/model-builder/src/tokenizer';
import { GraphBackend } from './graph-backend';

const SHAPE = { layers: 1, width: 8, heads: 2, feedForward: 16, vocabulary: 3000, positions: 64 };
const LENGTH = 16;
const POOLING = [
  { path: '', type: 'sentence_transformers.models.Transformer' },
  { path: '1_Pooling', type: 'sentence_transformers.models.Pooling' },
];

function encoder(length: number | string, hasMask: boolean): Uint8Array {
  const b = new GraphBuilder('encoder');
  const ids = b.input('input_ids', 'INT64', ['batch', length]);
  const mask = hasMask ? b.input('attention_mask', 'INT64', ['batch', length]) : null;
  b.output('last_hidden_state', 'FP32', ['batch', length, SHAPE.width], addEncoder(b, SHAPE, { ids, mask, tokenTypes: null }));
  return b.encode();
}

/** Files beside `tokenizer.json` and `config.json`. */
const MODELS: Record<string, Record<string, Uint8Array | object | string>> = {
  free: { 'model.onnx': encoder('sequence', true) },
  fixed: { 'model.onnx': encoder(LENGTH, true) },
  first: { 'model.onnx': encoder(LENGTH, true), 'model.yaml': 'pooling: cls\n' },
  maskless: { 'model.onnx': encoder(LENGTH, false) },
  prompted: {
    'model.onnx': encoder('sequence', true),
    'modules.json': POOLING,
    '1_Pooling/config.json': { pooling_mode: 'mean', include_prompt: false },
    'config_sentence_transformers.json': { prompts: { query: 'query: ' }, default_prompt_name: 'query' },
  },
};
const NAMES = Object.keys(MODELS);
const revisionOf = (model: string): number => NAMES.indexOf(model) + 1;

const step = (kind: StepKind, model: string, inputMap: Record<string, string>, outputMap: Record<string, string>): GraphStepPlan => ({
  ...{ kind, model, version: '1', revision: revisionOf(model), inputMap, outputMap },
});
const MASK = { attention_mask: 'mask' };
const tokenizer = (model: string, mask: object = MASK) => step('tokenizer', model, { text: 'text' }, { input_ids: 'ids', ...mask });
const run = (model: string, mask: object = MASK) => step('model', model, { input_ids: 'ids', ...mask }, { last_hidden_state: 'hidden' });
const head = (model: string, mask: object = {}) => step('head', model, { last_hidden_state: 'hidden', ...mask }, { embedding: 'vector' });

const STEPS: Record<string, GraphStepPlan[]> = {
  'fixed-masked': [tokenizer('fixed'), run('fixed'), head('fixed', MASK)],
  'fixed-bare': [tokenizer('fixed'), run('fixed'), head('fixed')],
  'fixed-first': [tokenizer('first'), run('first'), head('first')],
  'fixed-maskless': [tokenizer('maskless', {}), run('maskless', {}), head('maskless')],
  'fixed-ids': [run('fixed'), head('fixed')],
  'free-text': [tokenizer('free'), run('free'), head('free')],
  'free-vectors': [head('free')],
  'free-masked': [head('free', MASK)],
  'prompted-text': [tokenizer('prompted'), run('prompted'), head('prompted', MASK)],
  'prompted-ids': [run('prompted'), head('prompted')],
};
const GRAPHS = Object.entries(STEPS).map(([name, steps], i): GraphPlan => ({
  name,
  version: '1',
  revision: 100 + i,
  fingerprint: '',
  lanes: ['realtime'],
  steps,
  outputs: ['vector'],
}));

const floats = ({ data }: Tensor): number[] => Array.from(new Float32Array(Uint8Array.from(data).buffer));
const texts = (...strings: string[]): InferenceItem => ({
  inputs: [{ name: 'text', datatype: 'BYTES', shape: [strings.length], data: joinStrings(strings) }],
  outputs: null,
});
const vectors = (rows: number[][][]): Tensor => ({
  ...{ name: 'hidden', datatype: 'FP32', shape: [rows.length, rows[0]?.length ?? 0, SHAPE.width] },
  data: new Uint8Array(Float32Array.from(rows.flat(2)).buffer),
});
const maskOf = (rows: number[][]): Tensor => ({
  ...{ name: 'mask', datatype: 'INT64', shape: [rows.length, rows[0]?.length ?? 0] },
  data: new Uint8Array(BigInt64Array.from(rows.flat(), BigInt).buffer),
});
/** A vector that has `value` in one place. */
const unit = (place: number, value: number): number[] => Array.from({ length: SHAPE.width }, (_, i) => (i === place ? value : 0));

describe('heads as steps', () => {
  const root = mkdtempSync(join(tmpdir(), 'head-steps-'));
  let steps: OrtBackend;
  let catalog: ModelCatalog;
  let backend: GraphBackend;

  beforeAll(async () => {
    for (const [name, files] of Object.entries(MODELS)) {
      const config = { architectures: ['BertModel'], model_type: 'bert', max_position_embeddings: SHAPE.positions, pad_token_id: 0 };
      for (const [path, content] of Object.entries({
        'config.json': config,
        'tokenizer.json': buildTokenizer(SHAPE.vocabulary),
        ...files,
      })) {
        mkdirSync(dirname(join(root, name, path)), { recursive: true });
        const isRaw = typeof content === 'string' || content instanceof Uint8Array;
        writeFileSync(join(root, name, path), isRaw ? content : JSON.stringify(content));
      }
    }
    steps = await OrtBackend.load(NAMES.map((name) => ({ name, version: '1', path: join(root, name, 'model.onnx') })));
    catalog = await openModelCatalog(root, 'realtime', createLogger('test', 'fatal'));
    catalog.applyReports(steps.models());
    const placement = { formatVersion: 1, partitions: [], workers: [], graphs: GRAPHS } as Placement;
    backend = new GraphBackend({ steps, placement: { placement, onChange: () => undefined } });
    const ofRevision = (revision: number) => {
      const model = catalog.find(NAMES[revision - 1] ?? '', '1');
      return { model, policy: { cache: null, degrade: [], head: null, tokenizerDigest: null } };
    };
    backend.useTexts(Object.assign(Object.create(catalog) as ModelCatalog, { ofRevision }));
  });
  afterAll(async () => {
    await steps.close();
    rmSync(root, { recursive: true, force: true });
  });

  const infer = (of: OrtBackend | GraphBackend, model: string, item: InferenceItem) =>
    of.infer({ model, version: '1', items: [item], timeoutMs: null, priority: 0, signal: null });
  const valid = (result: ItemResult | InterleaveError | undefined): ItemResult => {
    if (result === undefined || result instanceof InterleaveError) throw result ?? new Error('no result');
    return result;
  };
  const answerOf = async (graph: string, item: InferenceItem): Promise<Tensor> =>
    valid((await infer(backend, graph, item))[0]).outputs[0] as Tensor;
  /** What the model itself makes of a text. */
  const embed = async (model: string, text: string): Promise<number[]> => {
    const [row] = (await catalog.find(model, '1').text?.encode([text], { truncate: false, topK: null, promptName: null })) ?? [];
    if (row === undefined) throw new Error('no text model');
    return Array.from(row.decodeVector(valid((await infer(steps, model, row.item))[0])));
  };

  it.each([
    ['fixed-masked', 'fixed'],
    ['fixed-first', 'first'],
    ['free-text', 'free'],
  ])('%s: answers as the model itself does', async (graph, model) => {
    const vector = await answerOf(graph, texts('hello world', 'one more'));
    const expected = [await embed(model, 'hello world'), await embed(model, 'one more')];
    expect(vector.shape).toEqual([2, SHAPE.width]);
    expect(floats(vector)).toEqual(expected.flat());
  });

  it.each([
    [
      'rows that a tokenizer pads, and no mask',
      'fixed-bare',
      /^step 3 fixed: step 1 fixed makes rows of one length, .* map the attention_mask that step 1 fixed makes to attention_mask in its input_map$/,
    ],
    [
      'rows that a tokenizer pads without a mask',
      'fixed-maskless',
      /^step 3 maskless: step 1 maskless makes .* put tokenizer\.json .* beside/,
    ],
    [
      'rows of one length of a caller',
      'fixed-ids',
      /^step 2 fixed: its model has rows of one length, .* map attention_mask in its input_map/,
    ],
    [
      'a prompt that the pooling leaves out',
      'prompted-text',
      /^step 3 prompted: its pooling leaves prompts out \(include_prompt\), and step 1 prompted puts one .* put tokenizer\.json/,
    ],
  ])('refuses %s', async (_, graph, reason) => {
    expect(backend.models().find(({ name }) => name === graph)).toMatchObject({
      state: 'failed',
      reason: expect.stringMatching(reason) as string,
    });
    await expect(infer(backend, graph, texts('hello'))).rejects.toMatchObject({ code: 'model_not_servable' });
  });

  it('takes ids of a caller, which have no prompt', () => {
    expect(backend.models().find(({ name }) => name === 'prompted-ids')).toMatchObject({ state: 'ready' });
  });

  it('counts the tokens of each row by its mask', async () => {
    const hidden = vectors([
      [unit(0, 1), unit(1, 1), unit(2, 5)],
      [unit(3, 2), unit(4, 9), unit(4, 9)],
    ]);
    const mask = maskOf([
      [1, 1, 0],
      [1, 0, 0],
    ]);
    const vector = await answerOf('free-masked', { inputs: [hidden, mask], outputs: null });
    expect(vector.shape).toEqual([2, SHAPE.width]);
    const half = Math.fround(Math.SQRT1_2);
    expect(floats(vector)).toEqual([half, half, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 0]);
  });

  it.each([
    [
      'zeros first',
      [[0, 1, 1]],
      /step 1 free: expected a row of attention_mask to be ones and then zeros but row 0 has 0 at its beginning; send 1/,
    ],
    ['a gap', [[1, 0, 1]], /row 0 has 1 at 2 behind 1 tokens/],
    ['another number', [[1, 2, 0]], /row 0 has 2 at 1 behind 1 tokens/],
    ['no token', [[0, 0, 0]], /row 0 has 0 at its beginning/],
    ['another length', [[1, 1]], /expected attention_mask to be \[1, 3\], as the token vectors are, but received \[1, 2\]/],
  ])('refuses a mask with %s', async (_, mask, message) => {
    const item = { inputs: [vectors([[unit(0, 1), unit(1, 1), unit(2, 1)]]), maskOf(mask)], outputs: null };
    expect((await infer(backend, 'free-masked', item))[0]).toMatchObject({
      code: 'invalid_request',
      message: expect.stringMatching(message) as string,
    });
  });

  it('answers no rows with none', async () => {
    const none: Tensor = { name: 'hidden', datatype: 'FP32', shape: [0, 1, SHAPE.width], data: new Uint8Array(0) };
    expect(await answerOf('free-vectors', { inputs: [none], outputs: null })).toMatchObject({ shape: [0, SHAPE.width] });
  });

  it('takes several rows of token vectors only with a mask', async () => {
    const item = { inputs: [vectors([[unit(0, 1)], [unit(1, 1)]])], outputs: null };
    expect((await infer(backend, 'free-vectors', item))[0]).toMatchObject({
      message: expect.stringMatching(/received 2, .* map attention_mask to the head/) as string,
    });
  });
});

import { cpSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import type { ItemResult, ModelSignature, TensorSpec } from '@app/contracts';
import { createLogger } from '@app/telemetry';
import { openModelCatalog, type CatalogEntry, type ModelCatalog, type TextModel } from '..';
import { cutText } from '../input-texts';

const BERT = join(__dirname, '../../../../test/fixtures/sentence-transformers/shared/bert');
const OPTIONS = { truncate: false, topK: null, promptName: null };

const input = (name: string): TensorSpec => ({ name, datatype: 'INT64', shape: [-1, -1], axes: ['batch', 'sequence0'] });
const HIDDEN: TensorSpec = { name: 'last_hidden_state', datatype: 'FP32', shape: [-1, -1, 8], axes: ['batch', 'sequence0', 'fixed'] };
const pooled = (width: number, name = 'sentence_embedding'): TensorSpec => ({
  name,
  datatype: 'FP32',
  shape: [-1, width],
  axes: ['batch', 'fixed'],
});
const logits = (rank: 2 | 3, width: number): TensorSpec => ({
  name: 'logits',
  datatype: 'FP32',
  shape: [...new Array<number>(rank - 1).fill(-1), width],
  axes: [],
});
const TEXT_INPUTS = ['input_ids', 'attention_mask'];

const moduleOf = (type: string, path: string, more: object = {}): object => ({
  type: `sentence_transformers.models.${type}`,
  path,
  ...more,
});
const POOLED = [moduleOf('Transformer', ''), moduleOf('Pooling', '1_Pooling')];
const MEAN = { '1_Pooling/config.json': { word_embedding_dimension: 8, pooling_mode_mean_tokens: true } };
const DENSE = { in_features: 8, out_features: 2, bias: true, activation_function: 'torch.nn.modules.activation.Tanh' };

/** A safetensors file of zeros. */
function safetensors(shapes: Record<string, number[]>, dtype = 'F32', bytes = 4): Buffer {
  let at = 0;
  const header = Object.entries(shapes).map(([name, shape]) => {
    const start = at;
    at += shape.reduce((a, b) => a * b, bytes);
    return [name, { dtype, shape, data_offsets: [start, at] }];
  });
  const json = Buffer.from(JSON.stringify(Object.fromEntries(header)));
  const length = Buffer.alloc(8);
  length.writeBigUInt64LE(BigInt(json.length));
  return Buffer.concat([length, json, Buffer.alloc(at)]);
}
const WEIGHTS = safetensors({ 'linear.weight': [2, 8], 'linear.bias': [2] });

describe('files of an export', () => {
  let root: string;
  beforeEach(() => {
    root = mkdtempSync(join(tmpdir(), 'exports-'));
    cpSync(BERT, join(root, 'm'), { recursive: true });
  });
  afterEach(() => rmSync(root, { recursive: true, force: true }));

  type Files = Record<string, string | object | Buffer>;
  const open = async (files: Files, outputs: TensorSpec[] = [HIDDEN], inputs = TEXT_INPUTS): Promise<ModelCatalog> => {
    for (const [path, content] of Object.entries(files)) {
      mkdirSync(dirname(join(root, 'm', path)), { recursive: true });
      writeFileSync(join(root, 'm', path), typeof content === 'string' || Buffer.isBuffer(content) ? content : JSON.stringify(content));
    }
    const catalog = await openModelCatalog(root, 'realtime', createLogger('test', 'silent'));
    const signature: ModelSignature = { inputs: inputs.map(input), outputs, coalesce: 'alone', coalesceReason: 'test' };
    catalog.applyReports([{ name: 'm', version: '1', revision: 1, state: 'ready', reason: null, signature, cost: null }]);
    return catalog;
  };
  const entryOf = async (files: Files, outputs?: TensorSpec[], inputs?: string[]): Promise<CatalogEntry | undefined> =>
    (await open(files, outputs, inputs)).list()[0];
  const textOf = async (files: Files, outputs?: TensorSpec[], inputs?: string[]): Promise<TextModel> => {
    const catalog = await open(files, outputs, inputs);
    const { text } = catalog.find('m', null);
    if (text === null) throw new Error(catalog.list()[0]?.reason ?? 'no text model');
    return text;
  };
  const after = (...modules: object[]): Files => ({ ...MEAN, 'modules.json': [...POOLED, ...modules] });
  const dense = (config: object, weights: Buffer | null = WEIGHTS): Files => ({
    ...after(moduleOf('Dense', '2_Dense')),
    '2_Dense/config.json': { ...DENSE, ...config },
    ...(weights === null ? {} : { '2_Dense/model.safetensors': weights }),
  });

  const refused: [string, Files, RegExp][] = [
    ...['WordEmbeddings', 'BoW', 'CLIPModel', 'StaticEmbedding', 'Router', 'Asym', 'MLMTransformer'].map(
      (kind): [string, Files, RegExp] => [
        `${kind} in the first place`,
        { 'modules.json': [moduleOf(kind, '')] },
        new RegExp(`Transformer as the first module but found "[a-z_.]*${kind}"`),
      ],
    ),
    ...['WeightedLayerPooling', 'CNN', 'LSTM', 'WordWeights', 'Dense'].map((kind): [string, Files, RegExp] => [
      `${kind} before the pooling`,
      { 'modules.json': [moduleOf('Transformer', ''), moduleOf(kind, '1')] },
      new RegExp(`Pooling as the second module but found "[a-z_.]*${kind}"`),
    ]),
    ...['CNN', 'LSTM', 'Pooling', 'Transformer', 'Unheard'].map((kind): [string, Files, RegExp] => [
      `${kind} after the pooling`,
      after(moduleOf(kind, '2')),
      new RegExp(`after the Pooling but found "[a-z_.]*${kind}"`),
    ]),
    ['code of its own', after({ type: 'custom_st.Normalize', path: '2' }), /found "custom_st\.Normalize"/],
    ['no pooling', { 'modules.json': [moduleOf('Transformer', '')] }, /Pooling as the second module but found none/],
    ['a pooling without its file', { 'modules.json': POOLED }, /1_Pooling\/config\.json .*Pooling/],
    [
      'a pooling mode that nobody knows',
      { 'modules.json': POOLED, '1_Pooling/config.json': { pooling_mode: 'median' } },
      /1_Pooling\/config\.json: pooling_mode/,
    ],
    [
      'a pooling key that nobody knows',
      { 'modules.json': POOLED, '1_Pooling/config.json': { pooling_mode: 'mean', temperature: 2 } },
      /the key "temperature"/,
    ],
    [
      'a pooling for other vectors',
      { 'modules.json': POOLED, '1_Pooling/config.json': { embedding_dimension: 9 } },
      /token vectors of 9 numbers but the output "last_hidden_state" has 8/,
    ],
    [
      'tokens that are normalised',
      { ...after(moduleOf('Normalize', '2')), '2/config.json': { module_input_name: 'token_embeddings' } },
      /module_input_name .* "token_embeddings"/,
    ],
    [
      'a task of the transformer',
      { ...after(), 'sentence_bert_config.json': { transformer_task: 'fill-mask' } },
      /transformer_task .* "fill-mask"/,
    ],
    [
      'another output of the transformer',
      {
        ...after(),
        'sentence_bert_config.json': { modality_config: { text: { method: 'forward', method_output_name: 'pooler_output' } } },
      },
      /modality_config\.text/,
    ],
    [
      'Dense with PyTorch weights',
      { ...dense({}, null), '2_Dense/pytorch_model.bin': 'x' },
      /Dense in modules\.json: .*pytorch_model\.bin.*safe_serialization=True/,
    ],
    ['Dense without weights', dense({}, null), /Dense in modules\.json: expected the weights .*model\.safetensors/],
    ['Dense without its file', after(moduleOf('Dense', '2_Dense')), /Dense in modules\.json: expected a file .*2_Dense\/config\.json/],
    ['Dense without sizes', dense({ in_features: null }), /the key "in_features"/],
    [
      'Dense for other vectors',
      dense({ in_features: 4 }, safetensors({ 'linear.weight': [2, 4], 'linear.bias': [2] })),
      /vectors of 4 numbers but the modules before it give 8/,
    ],
    [
      'Dense with an activation that we do not know',
      dense({ activation_function: 'torch.nn.modules.activation.RReLU' }),
      /activation_function .* "torch\.nn\.modules\.activation\.RReLU"/,
    ],
    ['Dense with an activation of its own', dense({ activation_function: 'my.code.Tanh' }), /"my\.code\.Tanh"/],
    ['Dense with a key that nobody knows', dense({ dropout: 0.5 }), /the key "dropout"/],
    ['Dense on tokens', dense({ module_input_name: 'token_embeddings' }), /module_input_name .* "token_embeddings"/],
    [
      'Dense with weights of another shape',
      dense({}, safetensors({ 'linear.weight': [8, 2], 'linear.bias': [2] })),
      /"linear\.weight" \[2, 8\] but found \[8, 2\]/,
    ],
    ['Dense without bias in the file', dense({}, safetensors({ 'linear.weight': [2, 8] })), /"linear\.bias" \[2\] but found none/],
    ['Dense with more weights than it needs', dense({ bias: false }), /expected only linear\.weight but found "linear\.bias"/],
    [
      'Dense with integers as weights',
      dense({}, safetensors({ 'linear.weight': [2, 8], 'linear.bias': [2] }, 'I32')),
      /expected F32, F16 or BF16 for "linear\.weight" but found I32/,
    ],
    ['Dense with weights that are cut off', dense({}, WEIGHTS.subarray(0, WEIGHTS.length - 1)), /does not fit its 8 bytes/],
    ['Dense with a header without end', dense({}, Buffer.from('ffffffffffffff7f7b7d', 'hex')), /expected a header within its 10 bytes/],
    ['Dense with an empty file', dense({}, Buffer.alloc(0)), /expected a header within its 0 bytes/],
    ['Dense with a header that is no JSON', dense({}, Buffer.from('02000000000000007b7b', 'hex')), /header: .*JSON/],
    [
      'LayerNorm without weights',
      { ...after(moduleOf('LayerNorm', '2')), '2/config.json': { dimension: 8 } },
      /LayerNorm in modules\.json: expected the weights/,
    ],
  ];
  const colbert = { 'model.yaml': 'task: multi-vector\nembeddingOutput: last_hidden_state' };
  refused.push(
    [
      'ColBERT of Stanford that looks like an embedding model',
      { 'artifact.metadata': {} },
      /task "embedding": .*artifact\.metadata says that queries and documents get tokens of their own/,
    ],
    [
      'ColBERT of Stanford',
      { ...colbert, 'artifact.metadata': {} },
      /artifact\.metadata says that queries and documents get tokens of their own/,
    ],
    [
      'ColBERT of pylate',
      { ...colbert, 'modules.json': [moduleOf('Transformer', ''), { type: 'pylate.models.Dense.Dense', path: '1_Dense' }] },
      /"pylate\.models\.Dense\.Dense" says/,
    ],
    [
      'ColBERT by its type',
      { ...colbert, 'config_sentence_transformers.json': { model_type: 'MultiVectorEncoder' } },
      /"MultiVectorEncoder" says/,
    ],
  );
  it.each(refused)('refuses %s, and names it', async (_, files, reason) => {
    expect(await entryOf(files)).toMatchObject({ state: 'failed', reason: expect.stringMatching(reason) as string });
  });

  it('takes a graph that has the modules inside, whatever they are', async () => {
    const files = { 'modules.json': [moduleOf('Transformer', ''), moduleOf('LSTM', '1'), moduleOf('Normalize', '2')] };
    expect(await entryOf(files)).toMatchObject({
      state: 'failed',
      reason: expect.stringMatching(/export the graph with all modules inside and an output "sentence_embedding"/) as string,
    });
    expect(await entryOf(files, [HIDDEN, pooled(5)])).toMatchObject({ state: 'ready', task: 'embedding', reason: null });
  });

  it.each([
    ['nothing', {}, null],
    ['model.yaml with a list', { 'model.yaml': 'dimensions: [2, 4]' }, [2, 4]],
    ['model.yaml with any', { 'model.yaml': 'dimensions: any' }, 'any'],
    ['matryoshka_dimensions', { 'config.json': { architectures: ['BertModel'], matryoshka_dimensions: [2, 4] } }, [2, 4]],
    ['is_matryoshka', { 'config.json': { architectures: ['BertModel'], is_matryoshka: true } }, 'any'],
    ['is_matryoshka: false', { 'config.json': { architectures: ['BertModel'], is_matryoshka: false } }, null],
    ['both', { 'config.json': { architectures: ['BertModel'], is_matryoshka: true }, 'model.yaml': 'dimensions: [2]' }, [2]],
  ])('says to which lengths vectors may be cut: %s', async (_, files, dimensions) => {
    expect((await textOf(files)).dimensions).toEqual(dimensions);
  });

  it('has no use for the weights of a module that is in the graph', async () => {
    const text = await textOf(dense({}, null), [HIDDEN, pooled(2)]);
    expect(text.embeddingWidth).toBe(2);
  });

  it('refuses a graph whose vector lacks a module', async () => {
    expect(await entryOf(dense({}), [HIDDEN, pooled(8)])).toMatchObject({
      state: 'failed',
      reason: expect.stringMatching(/vectors of 2 numbers but .* has 8: it lacks modules; set embeddingOutput/) as string,
    });
    expect(await entryOf({ ...dense({}), 'model.yaml': 'embeddingOutput: last_hidden_state' }, [HIDDEN, pooled(8)])).toMatchObject({
      state: 'ready',
      reason: null,
    });
    expect(await entryOf({ ...dense({}), 'model.yaml': 'embeddingOutput: pooler_output' }, [pooled(2, 'pooler_output')])).toMatchObject({
      state: 'failed',
      reason: expect.stringMatching(/"pooler_output" does not tell/) as string,
    });
  });

  it('serves the tensors of a model with modules that it cannot do, when told to', async () => {
    const files = { 'modules.json': [moduleOf('WordEmbeddings', '')] };
    expect(await entryOf({ ...files, 'model.yaml': 'task: tensor' })).toMatchObject({ state: 'ready', task: 'tensor', reason: null });
  });

  it('refuses a pooled output where the prompt does not count, and takes one that model.yaml calls pooled', async () => {
    const files = { ...MEAN, 'modules.json': POOLED, '1_Pooling/config.json': { embedding_dimension: 8, include_prompt: false } };
    const prompts = { 'config_sentence_transformers.json': { prompts: { query: 'query : ' } } };
    expect(await entryOf({ ...files, ...prompts }, [HIDDEN, pooled(8)])).toMatchObject({
      state: 'failed',
      reason: expect.stringMatching(/include_prompt.* set embeddingOutput/) as string,
    });
    expect(await entryOf({ 'model.yaml': 'embeddingOutput: last_hidden_state' }, [HIDDEN, pooled(8)])).toMatchObject({
      state: 'ready',
      reason: null,
    });
    expect(await entryOf({ 'model.yaml': 'pooling: none', 'config_sentence_transformers.json': {} }, [pooled(8)])).toMatchObject({
      state: 'ready',
      reason: null,
    });
  });

  it('pools token vectors where model.yaml says how, although there is a pooled output', async () => {
    const outputOf = async (files: Files, outputs: TensorSpec[]): Promise<unknown> => {
      const [row] = await (await textOf(files, outputs)).encode(['hello'], OPTIONS);
      return row?.item.outputs;
    };
    const modules = { ...MEAN, 'modules.json': POOLED };
    for (const outputs of [
      [pooled(8), { ...HIDDEN, name: 'token_embeddings' }],
      [{ ...HIDDEN, name: 'token_embeddings' }, pooled(8)],
    ]) {
      expect(await outputOf({ ...modules, 'model.yaml': 'pooling: cls' }, outputs)).toEqual(['token_embeddings']);
      for (const yaml of ['pooling: none', 'normalize: false'])
        expect(await outputOf({ ...modules, 'model.yaml': yaml }, outputs)).toEqual(['sentence_embedding']);
    }
    const refusal = /"pooling" but the output "sentence_embedding" is \[batch, width\].*remove pooling, or set embeddingOutput/;
    for (const yaml of ['pooling: mean', 'pooling: [cls, mean]\nembeddingOutput: sentence_embedding'])
      expect(await entryOf({ ...modules, 'model.yaml': yaml }, [pooled(8), { ...HIDDEN, name: 'other' }])).toMatchObject({
        state: 'failed',
        reason: expect.stringMatching(refusal) as string,
      });
    const inside = { 'modules.json': [moduleOf('Transformer', ''), moduleOf('LSTM', '1')], 'model.yaml': 'pooling: cls' };
    expect((await entryOf(inside, [HIDDEN, pooled(5)]))?.reason).toMatch(/remove pooling from model.yaml, and export the graph/);
  });

  it('finds the files of a transformer in a folder of its own', async () => {
    cpSync(join(root, 'm/tokenizer.json'), join(root, 'm/0_Transformer/tokenizer.json'));
    rmSync(join(root, 'm/tokenizer.json'));
    const files = {
      ...MEAN,
      'modules.json': [moduleOf('Transformer', '0_Transformer'), moduleOf('Pooling', '1_Pooling')],
      '0_Transformer/sentence_xlnet_config.json': { max_seq_length: 7 },
    };
    expect((await textOf(files)).maxTokens).toBe(7);
  });

  it('passes a result of numbers on, and no other', async () => {
    const text = await textOf(after());
    const [row] = await text.encode(['hello'], OPTIONS);
    const answer = (values: number[]): ItemResult => {
      const data = new Uint8Array(Float32Array.from({ length: 24 }, (_, i) => values[i % values.length] as number).buffer);
      return {
        outputs: [{ name: 'last_hidden_state', datatype: 'FP32', shape: [1, 3, 8], data }],
        timing: { queueUs: 0, runUs: 0, runRows: 1, startedNs: 0 },
      };
    };
    expect(row?.decode(answer([1]))).toEqual(new Float32Array(8).fill(1));
    for (const bad of [NaN, Infinity, -Infinity]) {
      expect(() => row?.decode(answer([1, bad]))).toThrow(
        /expected finite numbers from the output "last_hidden_state" but element 1 .*(NaN|Infinity)/,
      );
      expect(() => row?.decodeVector(answer([1, bad]))).toThrow(expect.objectContaining({ code: 'inference_failed' }));
    }
  });

  describe('labels and scores', () => {
    const result = (values: number[], shape: number[]): ItemResult => ({
      outputs: [{ name: 'logits', datatype: 'FP32', shape, data: new Uint8Array(Float32Array.from(values).buffer) }],
      timing: { queueUs: 0, runUs: 0, runRows: 1, startedNs: 0 },
    });
    const config = (architecture: string, more: object = {}): Files => ({
      'config.json': { architectures: [architecture], model_type: 'bert', ...more },
    });
    const decode = async (files: Files, output: TensorSpec, values: number[], shape: number[]): Promise<unknown> => {
      const [row] = await (await textOf(files, [output])).encode(['hello'], OPTIONS);
      return row?.decode(result(values, shape));
    };
    const multiLabel = config('BertForSequenceClassification', { problem_type: 'multi_label_classification' });
    const regression = config('BertForSequenceClassification', { id2label: ['x'], problem_type: 'regression' });

    it.each([
      ['a class', config('BertForSequenceClassification'), logits(2, 3), [0, NaN, 1], [1, 3]],
      ['an infinite class', config('BertForSequenceClassification'), logits(2, 3), [0, Infinity, 1], [1, 3]],
      ['one of several labels', multiLabel, logits(2, 3), [0, NaN, 1], [1, 3]],
      ['a score', config('BertForSequenceClassification', { num_labels: 1 }), logits(2, 1), [NaN], [1, 1]],
      ['a number', regression, logits(2, 1), [Infinity], [1, 1]],
      ['a token', config('BertForTokenClassification'), logits(3, 2), [0, 1, NaN, 1, 0, 1], [1, 3, 2]],
    ] as [string, Files, TensorSpec, number[], number[]][])(
      'an answer that is not a number: %s',
      async (_, files, output, values, shape) => {
        await expect(decode(files, output, values, shape)).rejects.toMatchObject({
          code: 'inference_failed',
          message: expect.stringMatching(/the output "logits"/) as string,
        });
      },
    );

    it.each([[['x', 'y']], [{ 0: 'x', 1: 'y' }]])('are named by %j', async (id2label) => {
      expect(await decode(config('BertForSequenceClassification', { id2label }), logits(2, 2), [0, 0], [1, 2])).toEqual([
        { label: 'x', score: 0.5 },
        { label: 'y', score: 0.5 },
      ]);
    });

    it.each([[[1, 2.5]], [{ 0: 1, 1: 2.5 }]])('may be numbers: %j', async (id2label) => {
      expect(await decode(config('BertForSequenceClassification', { id2label }), logits(2, 2), [0, 0], [1, 2])).toEqual([
        { label: '1', score: 0.5 },
        { label: '2.5', score: 0.5 },
      ]);
    });

    const cross = (activation: string | null, more: object = {}): Files => ({
      ...config('BertForSequenceClassification', { num_labels: 1, ...more }),
      'modules.json': [moduleOf('Transformer', '')],
      'sentence_bert_config.json': { transformer_task: 'sequence-classification', module_output_name: 'scores' },
      'config_sentence_transformers.json': {
        model_type: 'CrossEncoder',
        ...(activation !== null && { activation_fn: `torch.nn.modules.${activation}` }),
      },
    });
    const legacy = { sbert_ce_default_activation_function: 'torch.nn.modules.linear.Identity' };

    it.each([
      ['Identity', cross('linear.Identity'), 2],
      ['Sigmoid', cross('activation.Sigmoid'), 1 / (1 + Math.exp(-2))],
      ['none that is named', cross(null), 1 / (1 + Math.exp(-2))],
      ['Identity in config.json', cross(null, legacy), 2],
      ['one that config.json does not know of', cross('activation.Sigmoid', legacy), 1 / (1 + Math.exp(-2))],
    ] as [string, Files, number][])('of a CrossEncoder with the activation %s', async (_, files, score) => {
      expect(await decode(files, logits(2, 1), [2], [1, 1])).toEqual({ score: expect.closeTo(score, 7) as number });
    });

    it.each([
      ['Tanh', cross('activation.Tanh'), /activation_fn: .* "torch\.nn\.modules\.activation\.Tanh"/],
      ['Softmax of one', cross('activation.Softmax'), /softmax of one number is always 1/],
      [
        'another module',
        { ...cross(null), 'modules.json': [moduleOf('Transformer', ''), moduleOf('LogitScore', '1')] },
        /modules\.json: .* "sentence_transformers\.models\.LogitScore"/,
      ],
      [
        'a wish for vectors',
        { ...cross(null), 'model.yaml': 'task: embedding' },
        /CrossEncoder has no embeddings|Pooling as the second module/,
      ],
    ] as [string, Files, RegExp][])('of a CrossEncoder with %s are refused', async (_, files, reason) => {
      const entry = await entryOf(files, [logits(2, 1)]);
      expect(entry?.reason).toMatch(reason);
    });

    it('that are broken refuse no model without labels', async () => {
      expect(await entryOf(config('BertModel', { id2label: { x: [] }, problem_type: 7 }))).toMatchObject({
        state: 'ready',
        task: 'embedding',
      });
    });
  });

  describe('position_ids', () => {
    const positions = async (files: Files, text = 'the cat'): Promise<number[]> => {
      const [row] = await (await textOf(files, [HIDDEN], [...TEXT_INPUTS, 'position_ids'])).encode([text], OPTIONS);
      const tensor = row?.item.inputs.find(({ name }) => name === 'position_ids');
      return [...new BigInt64Array(Uint8Array.from(tensor?.data ?? []).buffer)].map(Number);
    };
    const of = (model_type: string, more: object = {}): Files => ({ 'config.json': { architectures: ['Model'], model_type, ...more } });

    it.each([
      ['bert', [0, 1, 2, 3]],
      ['qwen3', [0, 1, 2, 3]],
      ['gpt2', [0, 1, 2, 3]],
      ['roberta', [2, 3, 4, 5]],
      ['mpnet', [2, 3, 4, 5]],
    ])('of %s: %j', async (type, expected) => {
      expect(await positions(of(type))).toEqual(expected);
    });

    it('of a token that is the padding itself is the padding id, as in RoBERTa', async () => {
      expect(await positions(of('xlm-roberta', { pad_token_id: 0 }), 'the [PAD] cat')).toEqual([1, 2, 0, 3, 4]);
    });

    it('of an unknown model are asked for', async () => {
      const inputs = [...TEXT_INPUTS, 'position_ids'];
      expect(await entryOf(of('novel'), [HIDDEN], inputs)).toMatchObject({
        state: 'ready',
        task: 'tensor',
        reason: expect.stringMatching(/^served as tensors: .*position_ids.* set positionStart/) as string,
      });
      expect(await positions({ ...of('novel'), 'model.yaml': 'positionStart: 4' })).toEqual([4, 5, 6, 7]);
    });
  });

  describe('a fallback to tensors', () => {
    it.each([
      [
        'an architecture without text task',
        { 'config.json': { architectures: ['BertForMaskedLM'] } },
        /config\.json names the architecture "BertForMaskedLM"/,
      ],
      ['no config.json', { 'config.json': {} }, /names the architecture ""/],
    ] as [string, Files, RegExp][])('says why: %s', async (_, files, reason) => {
      const catalog = await open(files);
      expect(catalog.list()[0]).toMatchObject({ state: 'ready', task: 'tensor', reason: expect.stringMatching(reason) as string });
      expect(catalog.find('m', null).tensorsBecause).toMatch(reason);
    });

    it('by the wish of model.yaml is none', async () => {
      const catalog = await open({ 'model.yaml': 'task: tensor', 'config.json': '{' });
      expect(catalog.list()[0]).toMatchObject({ state: 'ready', reason: null });
      expect(catalog.find('m', null).tensorsBecause).toMatch(/task: tensor/);
    });

    it('of a text model without tokenizer.json', async () => {
      rmSync(join(root, 'm/tokenizer.json'));
      expect(await entryOf({ 'vocab.txt': 'a' })).toMatchObject({
        state: 'ready',
        task: 'tensor',
        reason: expect.stringMatching(/it has no tokenizer\.json/) as string,
      });
    });
  });

  describe('texts', () => {
    const PROMPTS = {
      'config_sentence_transformers.json': { prompts: { query: 'query : ', document: null }, default_prompt_name: 'query' },
    };
    const ids = async (files: Files, text: string, options: object = {}): Promise<number> => {
      const [row] = await (await textOf(files)).encode([text], { ...OPTIONS, ...options });
      return row?.tokenCount ?? 0;
    };

    it('get the default prompt, or the one that is named', async () => {
      expect(await ids(PROMPTS, 'hello')).toBe(5);
      expect(await ids(PROMPTS, 'hello', { promptName: 'query' })).toBe(5);
      expect(await ids(PROMPTS, 'hello', { promptName: 'document' })).toBe(3);
    });

    it.each([
      ['nope', /expected "query" or "document" for prompt_name but received "nope"/],
      ['__proto__', /received "__proto__"/],
    ])('refuse the prompt %s', async (promptName, message) => {
      await expect(ids(PROMPTS, 'hello', { promptName })).rejects.toMatchObject({
        code: 'invalid_request',
        param: 'prompt_name',
        message: expect.stringMatching(message) as string,
      });
    });

    it.each([
      ['an unknown word', 'query ~ ', [0, 0, 1, 1, 0]],
      ['a word', 'query : ', [0, 0, 0, 1, 0]],
    ])('leave a prompt out that ends with %s, as sentence-transformers counts its tokens', async (_, query, counted) => {
      const definition = JSON.parse(readFileSync(join(BERT, 'tokenizer.json'), 'utf8')) as { post_processor: { single: object[] } };
      definition.post_processor.single.pop();
      const text = await textOf({
        'tokenizer.json': definition,
        'modules.json': POOLED,
        '1_Pooling/config.json': { pooling_mode: 'mean', include_prompt: false },
        'config_sentence_transformers.json': { prompts: { query }, default_prompt_name: 'query' },
      });
      const [row] = await text.encode(['hello'], OPTIONS);
      expect(row?.tokenCount).toBe(4);
      // The vector of each token has a place of its own.
      const data = new Uint8Array(Float32Array.from({ length: 32 }, (_, i) => (i % 9 === 0 ? 1 : 0)).buffer);
      const outputs = [{ name: 'last_hidden_state', datatype: 'FP32' as const, shape: [1, 4, 8], data }];
      const vector = row?.decodeVector({ outputs, timing: { queueUs: 0, runUs: 0, runRows: 0, startedNs: 0 } });
      expect([...(vector ?? [])].slice(0, 5).map((value) => Number(value > 0))).toEqual(counted);
    });

    it.each([
      ['by its name', { mask_token: 'cat' }],
      [
        'with flags',
        { eos_token: { __type: 'AddedToken', content: 'cat', lstrip: false, rstrip: false, single_word: false, normalized: true } },
      ],
      ['in a list', { additional_special_tokens: [7, null, 'cat', { content: 'sat' }] }],
      ['beside what is no token', { bos_token: null, eos_token: 7, additional_special_tokens: 'sat', mask_token: 'cat' }],
    ])('have the special tokens of tokenizer_config.json, %s', async (_, config) => {
      expect(await ids({ 'tokenizer_config.json': config }, 'acatb')).toBe(5);
      expect(await ids({ 'tokenizer_config.json': {} }, 'acatb')).toBe(3);
    });

    it('as token ids take no prompt', async () => {
      const text = await textOf({ ...PROMPTS, 'model.yaml': 'tokenIds: true' });
      expect(text.encodeIds([[2, 5, 3]], OPTIONS)[0]?.tokenCount).toBe(3);
      expect(() => text.encodeIds([[2, 5, 3]], { ...OPTIONS, promptName: 'query' })).toThrow(/expected texts with prompt_name/);
    });

    it.each([
      ['right', [2, 16, 17, 3]],
      ['left', [2, 20, 21, 3]],
    ])('that are too long are cut at the %s: %j', async (truncation_side, kept) => {
      const text = await textOf({ 'tokenizer_config.json': { truncation_side }, 'model.yaml': 'maxTokens: 4' });
      const [row] = await text.encode(['a b c d w0 w1'], { ...OPTIONS, truncate: true });
      expect([...new BigInt64Array(Uint8Array.from(row?.item.inputs[0]?.data ?? []).buffer)].map(Number)).toEqual(kept);
    });

    it.each([
      ['a😀', 'a'],
      ['😀a', '😀'],
    ])('are never cut inside of a character, %s', (text, kept) => {
      expect(cutText(text, 2)).toBe(kept);
    });
  });
});

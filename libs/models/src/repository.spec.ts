import { mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import {
  fingerprintOfVersion,
  hasFile,
  modelNames,
  scanModel,
  scanRepository,
  workerModelPlan,
  type FileManifest,
  type RepositoryEntry,
} from '.';

const classifier = { architectures: ['BertForSequenceClassification'] };
const encoder = { 'm/model.onnx': 'graph', 'm/tokenizer.json': {}, 'm/config.json': { architectures: ['BertModel'] } };
const bertTokenizer = (lowercase: boolean): object => ({
  normalizer: { type: 'BertNormalizer', lowercase, strip_accents: null, handle_chinese_chars: true },
  post_processor: null,
});
/** Nine levels of nine references to the level before. */
const aliases = [
  'a0: &a0 [x]',
  ...Array.from({ length: 9 }, (_, i) => `a${i + 1}: &a${i + 1} [${new Array(9).fill(`*a${i}`).join(', ')}]`),
].join('\n');

const lane = { runRowsMax: 32, runTokensMax: 512, runTimeoutMs: 30_000, executorThreads: 1 };

const FILES = { revision: 7, fingerprint: 'f' };

describe('scanRepository', () => {
  let root: string;
  beforeEach(() => {
    root = mkdtempSync(join(tmpdir(), 'repository-'));
  });
  afterEach(() => rmSync(root, { recursive: true, force: true }));

  /** Files by path; contents that are objects are written as JSON. */
  const write = (files: Record<string, string | object>): void => {
    for (const [path, content] of Object.entries(files)) {
      mkdirSync(dirname(join(root, path)), { recursive: true });
      writeFileSync(join(root, path), typeof content === 'string' ? content : JSON.stringify(content));
    }
  };
  const scan = (): RepositoryEntry[] => scanRepository(root);
  const manifestOf = (files: Record<string, string | object>): FileManifest => {
    write(Object.fromEntries(Object.entries({ 'model.onnx': 'graph', ...files }).map(([path, content]) => [`m/${path}`, content])));
    const [entry] = scan();
    if (!entry?.manifest || !hasFile(entry.manifest)) throw new Error(entry?.reason ?? 'nothing found');
    return entry.manifest;
  };
  const text = (config: object): Record<string, object> => ({ 'config.json': config, 'tokenizer.json': {} });

  it('finds versions in order of number, and shares the files beside them', () => {
    write({
      'm/10/model.onnx': 'graph',
      'm/2/model.onnx': 'graph',
      'm/config.json': { architectures: ['BertModel'] },
      'm/tokenizer.json': {},
      'm/notes/x': '',
      'm/01/model.onnx': 'graph',
    });
    expect(scan().map(({ name, version, manifest }) => [name, version, manifest?.task, manifest?.text?.tokenizerPath])).toEqual([
      ['m', '2', 'embedding', join(root, 'm/tokenizer.json')],
      ['m', '10', 'embedding', join(root, 'm/tokenizer.json')],
    ]);
  });

  it('does not read files again that it knows', () => {
    write({ 'm/1/model.onnx': 'graph', 'm/2/model.onnx': 'graph', 'n/1/model.onnx': 'graph' });
    expect(modelNames(root)).toEqual(['m', 'n']);
    const known = scanModel(root, 'm');
    write({ 'm/2/model.onnx': 'other' });
    const again = scanModel(root, 'm', known);
    expect(again.map((entry) => known.includes(entry))).toEqual([true, false]);
    expect(scanModel(root, 'gone')).toMatchObject([{ version: '1', manifest: null, fingerprint: '' }]);
  });

  it('reads the model.yaml of a version in front of the one beside the versions', () => {
    write({
      'm/1/model.onnx': 'graph',
      'm/2/model.onnx': 'graph',
      'm/2/model.yaml': 'mergeRows: never\nrunRowsMax: 4\n',
      'm/model.yaml': 'batchInvariant: false\nrunTokensMax: 64\nrunRowsMax: 8\n',
    });
    expect(scan().map(({ manifest }) => [manifest?.mergeRows, manifest?.runRowsMax, manifest?.runTokensMax])).toEqual([
      ['auto', 8, 64],
      ['never', 4, 64],
    ]);
    write({ 'm/2/model.yaml': 'taks: tensor' });
    expect(scan().map(({ reason }) => reason)).toEqual([null, expect.stringMatching(/m\/2\/model\.yaml: .*taks/)]);
  });

  it('gives a version the same fingerprint whatever is said of its answers', () => {
    write({ 'm/1/model.onnx': 'graph' });
    const before = scan()[0]?.fingerprint;
    write({ 'm/samples.jsonl': '{}', 'm/1/samples.jsonl': '{}', 'm/1/variants.json': {} });
    expect(scan()[0]?.fingerprint).toBe(before);
    write({ 'm/1/model.yaml': 'runRowsMax: 4' });
    expect(scan()[0]?.fingerprint).not.toBe(before);
  });

  it('prefers files in the version over those beside it', () => {
    write({
      'm/1/model.onnx': 'graph',
      'm/1/tokenizer.json': {},
      'm/tokenizer.json': {},
      'm/config.json': { architectures: ['BertModel'] },
    });
    expect(scan()[0]?.manifest?.text?.tokenizerPath).toBe(join(root, 'm/1/tokenizer.json'));
  });

  it.each(['model.onnx', 'onnx/model.onnx'])('takes a Hugging Face export with %s as version 1', (path) => {
    write({ [`m/${path}`]: 'graph' });
    expect(scan()).toEqual([expect.objectContaining({ name: 'm', version: '1', reason: null })]);
    expect(scan()[0]?.manifest?.modelPath).toBe(join(root, 'm', path));
  });

  it.each([
    ['onnx/model.onnx', { 'm/onnx/model.onnx': 'graph', 'm/onnx/model_fp16.onnx': 'graph', 'm/other.onnx': 'graph' }],
    ['model.onnx', { 'm/onnx/model.onnx': 'graph', 'm/model.onnx': 'graph' }],
    ['onnx/model_quantized.onnx', { 'm/onnx/model_quantized.onnx': 'graph', 'm/onnx/.model.onnx': 'graph' }],
    ['encoder.onnx', { 'm/encoder.onnx': 'graph', 'm/onnx/readme.txt': '' }],
    ['1/model_int8.onnx', { 'm/1/model_int8.onnx': 'graph' }],
    ['onnx/b.onnx', { 'm/onnx/a.onnx': 'graph', 'm/onnx/b.onnx': 'graph', 'm/model.yaml': 'file: onnx/b.onnx' }],
    ['onnx/b.onnx', { 'm/model.onnx': 'graph', 'm/onnx/b.onnx': 'graph', 'm/model.yaml': 'file: ./onnx/../onnx/b.onnx' }],
  ] as [string, Record<string, string>][])('serves the graph %s of %j', (path, files) => {
    write(files);
    expect(scan()).toEqual([expect.objectContaining({ version: '1', reason: null })]);
    expect(scan()[0]?.manifest?.modelPath).toBe(join(root, 'm', path));
  });

  it('finds the models of an organisation under both parts of their name', () => {
    write({
      'org/a/model.onnx': 'graph',
      'org/b/1/model.onnx': 'graph',
      'org/b/3/model.onnx': 'graph',
      'org/.cache/x': '',
      'org/empty/x': '',
      'org/c d/model.onnx': 'graph',
      'z/model.onnx': 'graph',
    });
    expect(scan().map(({ name, version, reason }) => [name, version, reason === null])).toEqual([
      ['org/a', '1', true],
      ['org/b', '1', true],
      ['org/b', '3', true],
      ['org/c d', '1', false],
      ['org/empty', '1', false],
      ['z', '1', true],
    ]);
  });

  it('takes a folder with a graph as a model, whatever is below it, and looks no deeper than an organisation', () => {
    write({ 'm/model.onnx': 'graph', 'm/sub/model.onnx': 'graph', 'deep/a/b/model.onnx': 'graph' });
    expect(scan().map(({ name, reason }) => [name, reason === null])).toEqual([
      ['deep', false],
      ['m', true],
    ]);
  });

  it('follows links that lead out of the repository', () => {
    const elsewhere = mkdtempSync(join(tmpdir(), 'cache-'));
    writeFileSync(join(elsewhere, 'blob'), 'graph');
    mkdirSync(join(root, 'm'));
    symlinkSync(join(elsewhere, 'blob'), join(root, 'm/model.onnx'));
    expect(scan()[0]?.reason).toBeNull();
    rmSync(elsewhere, { recursive: true });
    expect(scan()[0]?.reason).toMatch(/expected model\.onnx in/);
  });

  it('ignores what is no model: files, hidden folders, links in a circle', () => {
    write({ 'README.md': '', '.cache/x': '' });
    symlinkSync('loop', join(root, 'loop'));
    expect(scan()).toEqual([]);
  });

  it.each([
    ['a name with a space', { 'a b/model.onnx': 'graph' }, /expected a name of letters/],
    ['a name that starts with a dash', { '-a/model.onnx': 'graph' }, /expected a name of letters/],
    ['no model file', { 'm/config.json': {} }, /expected model\.onnx in .*m, .* but found none/],
    ['a version without model file', { 'm/1/x': '' }, /expected a file .*m\/1\/model\.onnx/],
    ['a folder as model file', { 'm/1/model.onnx/x': '' }, /expected a file/],
    ['both layouts', { 'm/model.onnx': 'graph', 'm/1/model.onnx': 'graph' }, /holds both a graph and the folder 1/],
    [
      'a broken config.json of a text model',
      { 'm/model.onnx': 'graph', 'm/tokenizer.json': {}, 'm/config.json': '{' },
      /config\.json: .*JSON/,
    ],
    [
      'a config.json that is no object',
      { 'm/model.onnx': 'graph', 'm/tokenizer.json': {}, 'm/config.json': [] },
      /config\.json: content: /,
    ],
    [
      'an architecture of another shape',
      { 'm/model.onnx': 'graph', 'm/tokenizer.json': {}, 'm/config.json': { architectures: 5 } },
      /config\.json: architectures: /,
    ],
    [
      'labels without numbers',
      { 'm/model.onnx': 'graph', 'm/tokenizer.json': {}, 'm/config.json': { ...classifier, id2label: { x: 'a' } } },
      /id2label: .* "x"/,
    ],
    [
      'labels of another shape',
      { 'm/model.onnx': 'graph', 'm/tokenizer.json': {}, 'm/config.json': { ...classifier, id2label: { 0: ['a'] } } },
      /id2label: /,
    ],
    [
      'an activation that we do not do',
      {
        'm/model.onnx': 'graph',
        'm/tokenizer.json': {},
        'm/config.json': { ...classifier, sentence_transformers: { activation_fn: 'torch.nn.modules.activation.Tanh' } },
      },
      /activation_fn: .* "torch\.nn\.modules\.activation\.Tanh"/,
    ],
    [
      'a problem type that nobody knows',
      { 'm/model.onnx': 'graph', 'm/tokenizer.json': {}, 'm/config.json': { ...classifier, problem_type: 'guess' } },
      /problem_type .* "guess"/,
    ],
    ['a broken model.yaml', { 'm/model.onnx': 'graph', 'm/model.yaml': 'a: [' }, /model\.yaml: /],
    ['an unknown key in model.yaml', { 'm/model.onnx': 'graph', 'm/model.yaml': 'taks: tensor' }, /model\.yaml: .*taks/],
    ['a bad value in model.yaml', { 'm/model.onnx': 'graph', 'm/model.yaml': 'runRowsMax: 0' }, /runRowsMax: /],
    ['a task in model.yaml without tokenizer', { 'm/model.onnx': 'graph', 'm/model.yaml': 'task: embedding' }, /needs a tokenizer\.json/],
    [
      'a pooling without modules.json',
      { ...encoder, 'm/1_Pooling/config.json': { pooling_mode_lasttoken: true } },
      /1_Pooling\/config\.json: .* no modules\.json .* set pooling in model\.yaml/,
    ],
    [
      'modules without path',
      { ...encoder, 'm/modules.json': [{ type: 'sentence_transformers.models.Transformer' }] },
      /modules\.json: 0\.path: /,
    ],
    [
      'modules with keys that nobody knows',
      { ...encoder, 'm/modules.json': [{ type: 'a', path: '', device: 1 }] },
      /modules\.json: .*device/,
    ],
    [
      'modules outside of the folder',
      { ...encoder, 'm/modules.json': [{ type: 'a', path: '../../other' }] },
      /modules\.json: .* "\.\.\/\.\.\/other"/,
    ],
    [
      'a default prompt that there is not',
      { ...encoder, 'm/config_sentence_transformers.json': { prompts: { a: 'x' }, default_prompt_name: 'b' } },
      /default_prompt_name is "b", but prompts has a/,
    ],
    [
      'a multi-vector encoder',
      { ...encoder, 'm/config_sentence_transformers.json': { model_type: 'MultiVectorEncoder' } },
      /a SparseEncoder but found "MultiVectorEncoder"/,
    ],
    [
      'a change of the tokens',
      { ...encoder, 'm/sentence_bert_config.json': { processing_kwargs: { text: { add_special_tokens: false } } } },
      /sentence_bert_config\.json: processing_kwargs\.text/,
    ],
    [
      'arguments of the tokenizer',
      { ...encoder, 'm/sentence_roberta_config.json': { tokenizer_args: { use_fast: false } } },
      /sentence_roberta_config\.json: tokenizer_args/,
    ],
    [
      'a key of the transformer that nobody knows',
      { ...encoder, 'm/sentence_bert_config.json': { reverse: true } },
      /the key "reverse" is unknown/,
    ],
    [
      'a tokenizer that is told to make lower case and does not',
      { ...encoder, 'm/tokenizer.json': bertTokenizer(false), 'm/tokenizer_config.json': { do_lower_case: true } },
      /do_lower_case is true, which .*tokenizer\.json does not do/,
    ],
    [
      'a tokenizer that is told to end texts and does not',
      { ...encoder, 'm/tokenizer.json': bertTokenizer(true), 'm/tokenizer_config.json': { add_eos_token: true, eos_token: '</s>' } },
      /add_eos_token is true/,
    ],
    [
      'a tokenizer that is told to take accents away with capitals and does not',
      {
        ...encoder,
        'm/tokenizer.json': { normalizer: { type: 'BertNormalizer', lowercase: true, strip_accents: false, handle_chinese_chars: true } },
        'm/tokenizer_config.json': { do_lower_case: true, strip_accents: null },
      },
      /strip_accents is null, which .*tokenizer\.json does not do/,
    ],
    ...(
      [
        ['do_lower_case', { lowercase: false }, 'BertTokenizer'],
        ['strip_accents', { strip_accents: false }, 'MPNetTokenizerFast'],
        ['tokenize_chinese_chars', { handle_chinese_chars: false }, 'DistilBertTokenizerFast'],
      ] as const
    ).map(([key, change, tokenizer_class]): [string, Record<string, string | object>, RegExp] => [
      `a tokenizer that does not follow what its class takes for ${key}`,
      {
        ...encoder,
        'm/tokenizer.json': { normalizer: { type: 'BertNormalizer', lowercase: true, handle_chinese_chars: true, ...change } },
        'm/tokenizer_config.json': { tokenizer_class },
      },
      new RegExp(`${key} is not there, so (true|null) for ${tokenizer_class}, which .*tokenizer\\.json does not do`),
    ]),
    ...[true, false].map((add_prefix_space): [string, Record<string, string | object>, RegExp] => [
      `a tokenizer that is told to put a space before texts, or none: ${add_prefix_space}`,
      {
        ...encoder,
        'm/tokenizer.json': { pre_tokenizer: { type: 'ByteLevel', add_prefix_space: !add_prefix_space } },
        'm/tokenizer_config.json': { add_prefix_space, tokenizer_class: 'RobertaTokenizerFast' },
      },
      new RegExp(`add_prefix_space is ${add_prefix_space}, which .*tokenizer\\.json does not do`),
    ]),
    [
      'two graphs without the usual name',
      { 'm/onnx/model_fp16.onnx': 'graph', 'm/onnx/model_int8.onnx': 'graph' },
      /holds onnx\/model_fp16\.onnx, onnx\/model_int8\.onnx; .* "file: onnx\/model_fp16\.onnx"/,
    ],
    [
      'a graph outside of the folder',
      { 'm/model.onnx': 'graph', 'm/model.yaml': 'file: ../other/model.onnx' },
      /file: .* "\.\.\/other\/model\.onnx"/,
    ],
    ['a graph by its whole path', { 'm/model.onnx': 'graph', 'm/model.yaml': 'file: /etc/model.onnx' }, /file: .* "\/etc\/model\.onnx"/],
    [
      'a named graph that there is not',
      { 'm/model.onnx': 'graph', 'm/model.yaml': 'file: other.onnx' },
      /file: .*other\.onnx but there is model\.onnx/,
    ],
    [
      'a named file that is no graph',
      { 'm/model.onnx': 'graph', 'm/config.json': {}, 'm/model.yaml': 'file: config.json' },
      /file: expected the path of an \.onnx file/,
    ],
    [
      'a model.yaml of 33 KiB',
      { 'm/model.onnx': 'graph', 'm/model.yaml': '#'.repeat(33 * 1024) },
      /model\.yaml: expected at most 32768 bytes but it has 33792/,
    ],
    ['a model.yaml of aliases of aliases', { 'm/model.onnx': 'graph', 'm/model.yaml': aliases }, /model\.yaml: .*alias/],
    ['a deep model.yaml', { 'm/model.onnx': 'graph', 'm/model.yaml': '['.repeat(30_000) }, /model\.yaml: /],
    [
      'a config.json of 9 MiB',
      { ...encoder, 'm/config.json': ' '.repeat(9 * 1024 * 1024) },
      /config\.json: expected at most 8388608 bytes/,
    ],
  ] as [string, Record<string, string | object>, RegExp][])('says why it cannot serve %s', (_, files, reason) => {
    write(files);
    const [entry] = scan();
    expect(entry?.manifest).toBeNull();
    expect(entry?.reason).toMatch(reason);
  });

  it('says what to do when there is no repository', () => {
    expect(() => scanRepository(join(root, 'nowhere'))).toThrow(
      /MODELS_DIR cannot be read: .*nowhere.*; create the folder or set MODELS_DIR/,
    );
  });

  it.each([
    ['a broken config.json', { 'm/config.json': '{' }],
    ['a config.json of 9 MiB', { 'm/config.json': ' '.repeat(9 * 1024 * 1024) }],
    [
      'a broken config.json beside a tokenizer, as tensors',
      { 'm/config.json': '{', 'm/tokenizer.json': {}, 'm/model.yaml': 'task: tensor' },
    ],
    [
      'broken labels that nothing needs',
      { 'm/config.json': { architectures: ['BertModel'], id2label: { x: [] } }, 'm/tokenizer.json': {} },
    ],
    [
      'broken labels that model.yaml replaces',
      { 'm/config.json': { ...classifier, id2label: { x: [] } }, 'm/tokenizer.json': {}, 'm/model.yaml': 'labels: [a, b]' },
    ],
    [
      'a broken limit that model.yaml replaces',
      {
        'm/config.json': { architectures: ['BertModel'], max_position_embeddings: 'many' },
        'm/tokenizer.json': {},
        'm/model.yaml': 'maxTokens: 9',
      },
    ],
    [
      'a pooling without modules.json that model.yaml replaces',
      { ...encoder, 'm/1_Pooling/config.json': {}, 'm/model.yaml': 'pooling: cls' },
    ],
    [
      'a tokenizer that agrees with its configuration',
      {
        ...encoder,
        'm/tokenizer.json': bertTokenizer(true),
        'm/tokenizer_config.json': { do_lower_case: true, strip_accents: null, tokenize_chinese_chars: true },
      },
    ],
    [
      'a tokenizer that follows what its class takes',
      { ...encoder, 'm/tokenizer.json': bertTokenizer(true), 'm/tokenizer_config.json': { tokenizer_class: 'BertTokenizerFast' } },
    ],
    [
      'a tokenizer of another class, which says nothing',
      { ...encoder, 'm/tokenizer.json': bertTokenizer(false), 'm/tokenizer_config.json': { tokenizer_class: 'PreTrainedTokenizerFast' } },
    ],
    [
      'a tokenizer whose class leaves spaces before texts to it',
      {
        ...encoder,
        'm/tokenizer.json': { pre_tokenizer: { type: 'ByteLevel', add_prefix_space: false } },
        'm/tokenizer_config.json': { add_prefix_space: true, tokenizer_class: 'TokenizersBackend' },
      },
    ],
    [
      'a tokenizer that puts no space before texts, as it is told',
      {
        ...encoder,
        'm/tokenizer.json': { pre_tokenizer: { type: 'ByteLevel', add_prefix_space: false } },
        'm/tokenizer_config.json': { add_prefix_space: false },
      },
    ],
  ] as [string, Record<string, string | object>][])('serves a model with %s', (_, files) => {
    write({ 'm/model.onnx': 'graph', ...files });
    expect(scan()[0]?.reason).toBeNull();
  });

  it('goes on after a model that cannot be served', () => {
    write({ 'a/x': '', 'b/model.onnx': 'graph' });
    expect(scan().map(({ name, reason }) => [name, reason === null])).toEqual([
      ['a', false],
      ['b', true],
    ]);
  });

  it.each([
    [{ architectures: ['BertModel'] }, 'embedding'],
    [{ architectures: ['BertForSequenceClassification'], id2label: { 0: 'a', 1: 'b' } }, 'sequence-classification'],
    [{ architectures: ['BertForSequenceClassification'] }, 'sequence-classification'],
    [{ architectures: ['XLMRobertaForSequenceClassification'], id2label: { 0: 'LABEL_0' } }, 'text-pair-scoring'],
    [{ architectures: ['BertForSequenceClassification'], num_labels: 1 }, 'text-pair-scoring'],
    [{ architectures: ['DistilBertForTokenClassification'] }, 'token-classification'],
    [{ architectures: ['BertForMaskedLM'] }, 'tensor'],
    [{}, 'tensor'],
  ])('infers the task of %j: %s', (config, task) => {
    expect(manifestOf(text(config))).toMatchObject({ task, taskIsExplicit: false });
  });

  it('takes a model without tokenizer as tensors', () => {
    expect(manifestOf({ 'config.json': { architectures: ['BertModel'] } })).toMatchObject({ task: 'tensor', text: null });
  });

  it('takes a sentence-transformers export as embedding, pooled and normalised as it says', () => {
    const files = {
      ...text({ architectures: ['MPNetForMaskedLM'] }),
      '1_Pooling/config.json': { pooling_mode_cls_token: true, pooling_mode_mean_tokens: false },
    };
    const modules = [
      { type: 'sentence_transformers.models.Transformer', path: '' },
      { type: 'sentence_transformers.models.Pooling', path: '1_Pooling' },
    ];
    expect(manifestOf({ ...files, 'modules.json': modules }).text?.sentence).toMatchObject({ pooling: ['cls'], normalize: false });
    expect(
      manifestOf({ ...files, 'modules.json': [...modules, { type: 'sentence_transformers.models.Normalize', path: '2_Normalize' }] }),
    ).toMatchObject({
      task: 'embedding',
      taskIsExplicit: true,
      text: { sentence: { normalize: true, obstacle: null } },
    });
  });

  it.each([
    [{ max_position_embeddings: 512 }, {}, {}, 512],
    [{ max_position_embeddings: 512 }, { model_max_length: 256 }, {}, 256],
    [{ max_position_embeddings: 512 }, { model_max_length: 1e30 }, { max_seq_length: 128 }, 128],
    [{ max_position_embeddings: 514, model_type: 'xlm-roberta', pad_token_id: 1 }, {}, {}, 512],
    [{}, {}, {}, 512],
  ])('infers the longest input of %j, %j, %j: %d', (config, tokenizer, sentence, maxTokens) => {
    const files = { 'tokenizer_config.json': tokenizer, 'sentence_bert_config.json': sentence };
    expect(manifestOf({ ...text({ architectures: ['BertModel'], ...config }), ...files }).text?.maxTokens).toBe(maxTokens);
  });

  it('reads labels by index, and how scores are made', () => {
    const config = {
      architectures: ['BertForSequenceClassification'],
      id2label: { 2: 'c', 0: 'a' },
      problem_type: 'multi_label_classification',
    };
    expect(manifestOf(text(config)).text).toMatchObject({ labels: ['a', 'LABEL_1', 'c'], activation: 'sigmoid' });
  });

  it('pads with the pad token of config.json', () => {
    expect(manifestOf(text({ architectures: ['RobertaModel'], pad_token_id: 1 })).padValues).toEqual({ input_ids: 1 });
  });

  it('lets model.yaml override everything', () => {
    const yaml = `
task: text-pair-scoring
axes: { batch: n, sequence: [s, t] }
padValues: { input_ids: 3 }
paddingIsSafe: true
mergeRows: always
runRowsMax: 4
runTokensMax: 100
runTimeoutMs: 50
deduplicate: false
realtime: { timeoutMs: 2000, sloMs: 7.5 }
maxTokens: 7
pooling: [max, mean]
normalize: false
positionStart: 2
embeddingOutput: e
labels: [x, y]
tags: [large]
device: gpu
lanes: [batch]
`;
    const manifest = manifestOf({ ...text({ architectures: ['BertModel'], pad_token_id: 1, id2label: { 0: 'a' } }), 'model.yaml': yaml });
    expect(manifest).toMatchObject({
      task: 'text-pair-scoring',
      taskIsExplicit: true,
      timeoutMs: 2000,
      tags: ['large'],
      lanes: ['batch'],
      text: {
        maxTokens: 7,
        sentence: { pooling: ['max', 'mean'], normalize: false },
        positions: { kind: 'counted', start: 2 },
        embeddingOutput: 'e',
        labels: ['x', 'y'],
      },
    });
    expect(workerModelPlan(manifest, 'realtime', lane, FILES)).toEqual({
      name: 'm',
      version: '1',
      ...FILES,
      modelPath: join(root, 'm/model.onnx'),
      device: 'gpu',
      batchAxisName: 'n',
      sequenceAxisNames: ['s', 't'],
      inputAxisNames: {},
      padValues: { input_ids: 3 },
      paddingIsSafe: true,
      mergeRows: 'always',
      runRowsMax: 4,
      runTokensMax: 100,
      runTimeoutMs: 50,
      endsByCost: false,
      executorThreads: 1,
      deduplicate: false,
      sloMs: 7.5,
      rowTokensMax: 7,
    });
  });

  it.each([
    ['executorThreads: 0', 'executorThreads: '],
    ['executorThreads: many', 'executorThreads: expected a number of threads from 1 to 64, or one for each lane'],
    ['executorThreads: { realtime: 65 }', 'executorThreads.realtime: '],
    ['{ device: gpu, executorThreads: 2 }', 'executorThreads: expected no executorThreads beside device: gpu'],
    ['realtime: { timeoutMs: 0 }', 'realtime.timeoutMs: '],
    ['realtime: { timeoutMs: 4000000 }', 'realtime.timeoutMs: '],
    ['realtime: { sloMs: fast }', 'realtime.sloMs: '],
    ['realtime: { sloMs: 0 }', 'realtime.sloMs: '],
    ['realtime: { timeoutMs: 50, sloMs: 80 }', 'realtime.sloMs: expected at most timeoutMs (50) but received 80'],
    ['realtime: { deadline: 5 }', 'realtime: '],
    ['deduplicate: sometimes', 'deduplicate: '],
    ['cache: { bytesMax: 64MB }', 'cache.bytesMax: expected a number of bytes, or MiB or GiB'],
    ['cache: { ttlSeconds: 0 }', 'cache.ttlSeconds: '],
    ['cache: { ttl: 1 }', 'cache: Unrecognized key: "ttl"'],
    ['degrade: []', 'degrade: '],
    ['degrade: [smaller]', 'degrade.0: expected "cached", "refuse" or the name of another model'],
    ['degrade: [{ version: "2" }]', 'degrade.0'],
    ['degrade: [{ model: c, version: newest }]', 'degrade.0.version: expected the number of a version'],
    ['pooling: average', 'pooling: expected none, one of cls, '],
    ['dimensions: 64', 'dimensions: expected any, or a list of lengths'],
    ['axes: { sequence: 1 }', 'axes.sequence: expected the name of an axis, or a list of two'],
    ['lanes: []', 'lanes: '],
    ['lanes: [live]', 'lanes.0: '],
    ['tags: large', 'tags: '],
    ['device: tpu', 'device: '],
    ['mergeRows: maybe', 'mergeRows: '],
    ['{ mergeRows: always, batchInvariant: true }', 'batchInvariant: expected one of mergeRows and batchInvariant'],
    ['{ mergeRows: always, batchInvariant: false }', 'batchInvariant: expected one of mergeRows and batchInvariant'],
    ['{ mergeRows: never, batchInvariant: false }', 'batchInvariant: expected one of mergeRows and batchInvariant'],
  ])('refuses "%s" and names the key', (yaml, message) => {
    write({ 'm/model.onnx': 'graph', 'm/model.yaml': yaml });
    expect(scan()[0]?.reason).toContain(`model.yaml: ${message}`);
  });

  it('reads what may be kept and what may stand in, up to the refusal', () => {
    const manifest = manifestOf({
      'model.yaml':
        'cache: {}\ndegrade: [{ model: a/b, sameSpace: true }, { model: c, version: 2 }, { model: c, version: "3" }, cached, refuse, { model: d }]',
    });
    expect(manifest.cache).toEqual({ bytesMax: 64 * 1024 * 1024, ttlSeconds: 300, deterministic: false });
    expect(manifest.degrade).toEqual([
      { kind: 'model', model: 'a/b', version: null, sameSpace: true },
      { kind: 'model', model: 'c', version: '2', sameSpace: false },
      { kind: 'model', model: 'c', version: '3', sameSpace: false },
      { kind: 'cached' },
    ]);
    expect(manifestOf({ 'model.yaml': 'cache: { bytesMax: 2MiB }' }).cache?.bytesMax).toBe(2 * 1024 * 1024);
    expect(manifestOf({ 'model.yaml': '' })).toMatchObject({ cache: null, degrade: [] });
  });

  it('takes the fingerprint of one version without a scan', () => {
    write({ 'm/2/model.onnx': 'graph', 'm/model.yaml': 'x: 1', 'org/n/model.onnx': 'graph', 'org/n/config.json': {} });
    for (const { name, version, fingerprint } of scan()) expect(fingerprintOfVersion(root, name, version)).toBe(fingerprint);
    expect(fingerprintOfVersion(root, 'm', '1')).toBeNull();
    expect(fingerprintOfVersion(root, 'gone', '1')).toBeNull();
    const before = fingerprintOfVersion(root, 'm', '2');
    write({ 'm/2/model.onnx': 'other' });
    expect(fingerprintOfVersion(root, 'm', '2')).not.toBe(before);
  });

  it('takes keys under their former names, with a warning', () => {
    write({ 'm/model.onnx': 'graph', 'm/model.yaml': '{ batchRowsMax: 3, batchTokensMax: 70 }' });
    const { manifest } = scan()[0] ?? {};
    expect(manifest).toMatchObject({ runRowsMax: 3, runTokensMax: 70 });
    expect(manifest?.warnings).toEqual([
      expect.stringMatching(/^model\.yaml: batchRowsMax is now called runRowsMax; /),
      expect.stringMatching(/^model\.yaml: batchTokensMax is now called runTokensMax; /),
    ]);
  });

  it.each([
    ['batchInvariant: true', 'never', 1],
    ['batchInvariant: false', 'auto', 1],
    ['{ batchInvariant: true, mergeRows: never }', 'never', 1],
    ['mergeRows: never', 'never', 0],
  ])('takes "%s" for mergeRows: %s, with %d warnings', (yaml, mergeRows, warnings) => {
    const manifest = manifestOf({ 'model.yaml': yaml });
    expect(workerModelPlan(manifest, 'realtime', lane, FILES).mergeRows).toBe(mergeRows);
    expect(manifest.warnings).toHaveLength(warnings);
    for (const warning of manifest.warnings) expect(warning).toContain('is now called mergeRows');
  });

  it.each<[string, number, number]>([
    ['{}', 3, 3],
    ['executorThreads: 2', 2, 2],
    ['executorThreads: { realtime: 4 }', 4, 3],
    ['executorThreads: { realtime: 4, batch: 1 }', 4, 1],
    ['device: gpu', 1, 1],
  ])('takes "%s" for so many threads a run by lane: %d, %d', (yaml, realtime, batch) => {
    const manifest = manifestOf({ 'model.yaml': yaml });
    const limits = { ...lane, executorThreads: 3 };
    expect([workerModelPlan(manifest, 'realtime', limits, FILES), workerModelPlan(manifest, 'batch', limits, FILES)]).toMatchObject([
      { executorThreads: realtime },
      { executorThreads: batch },
    ]);
  });

  it("takes the lane's limits where model.yaml has none", () => {
    expect(workerModelPlan(manifestOf({}), 'realtime', lane, FILES)).toMatchObject({
      ...lane,
      batchAxisName: null,
      sequenceAxisNames: [],
      inputAxisNames: {},
      paddingIsSafe: null,
      mergeRows: 'auto',
      deduplicate: true,
      sloMs: null,
      device: 'cpu',
    });
  });
});

import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { ModelSignature } from '@app/contracts';
import { buildTokenizer } from '../../../tools/model-builder/src/tokenizer';
import type { TextManifest } from './manifest';
import { PLAIN_SPLADE } from './sentence/splade';
import { plainPipeline } from './sentence/modules';
import { bindTextModel } from './text-model';
import { TextTokenizer } from './tokenizer';
import type { TextModel, TextRow } from './types';

const SIGNATURE: ModelSignature = {
  coalesce: 'padded',
  coalesceReason: null,
  inputs: ['input_ids', 'token_type_ids'].map((name) => ({ name, datatype: 'INT64', shape: [-1, -1], axes: [] })),
  outputs: [{ name: 'last_hidden_state', datatype: 'FP32', shape: [-1, -1, 4], axes: [] }],
};
const output = SIGNATURE.outputs[0] as ModelSignature['outputs'][number];
const BERT_IDS = {
  added_tokens: [],
  post_processor: { type: 'BertProcessing', cls: ['[CLS]', 101], sep: ['[SEP]', 102] },
  model: {
    type: 'WordPiece',
    unk_token: '[UNK]',
    continuing_subword_prefix: '##',
    max_input_chars_per_word: 100,
    vocab: { '[UNK]': 100, '[CLS]': 101, '[SEP]': 102, a: 104, b: 105 },
  },
};
const MAX_TOKENS = 8;
const CHARACTERS_MAX = MAX_TOKENS * 256;
const WHOLE = { truncate: false, topK: null, promptName: null };
const TRUNCATE = { truncate: true, topK: null, promptName: null };

describe('a text model', () => {
  const root = mkdtempSync(join(tmpdir(), 'text-model-'));
  afterAll(() => rmSync(root, { recursive: true, force: true }));

  /** `[CLS]` and `[SEP]` have the ids 2 and 3, or 101 and 102 as in BERT's vocabulary. */
  const open = async (
    options: { bertIds?: boolean; tokenIds?: boolean; definition?: object; signature?: Partial<ModelSignature> } = {},
  ): Promise<TextModel> => {
    const path = join(root, 'tokenizer.json');
    writeFileSync(path, JSON.stringify({ ...buildTokenizer(3000), ...(options.bertIds ? BERT_IDS : {}), ...options.definition }));
    const manifest: TextManifest = {
      tokenizerPath: path,
      maxTokens: MAX_TOKENS,
      padTokenId: 0,
      tokenIds: options.tokenIds ?? false,
      lowerCase: false,
      specialTokens: [],
      truncationSide: null,
      positions: null,
      prompts: { byName: new Map(), defaultName: null },
      sentence: { ...plainPipeline({ pooling: null, normalize: null }), truncateTo: null },
      dimensions: null,
      splade: PLAIN_SPLADE,
      skipFirstToken: false,
      embeddingOutput: null,
      labels: null,
      activation: null,
    };
    return bindTextModel('embedding', manifest, await TextTokenizer.load(path), { ...SIGNATURE, ...options.signature });
  };
  const idsOf = (rows: TextRow[]): number[] =>
    Array.from(new BigInt64Array(rows[0]?.item.inputs[0]?.data.slice().buffer as ArrayBuffer), Number);

  it.each([
    ['alone', 'a\ud83d', '[1]', /the lone surrogate U\+D83D at character 1/],
    ['after an emoji', '😀b\udc00c', '[1]', /U\+DC00 at character 2/],
    ['in a pair', { text: 'a', text_pair: '\udc00' }, '[1]', /text_pair but received the lone surrogate U\+DC00 at character 0/],
    ['far behind the cut', `${'a '.repeat(CHARACTERS_MAX)}\ud83d`, '[1]', new RegExp(`at character ${2 * CHARACTERS_MAX}`)],
  ])('refuses a lone surrogate %s', async (_, text, param, message) => {
    const model = await open();
    for (const options of [WHOLE, TRUNCATE])
      await expect(model.encode(['fine 😀', text], options)).rejects.toMatchObject({
        param,
        message: expect.stringMatching(message) as string,
      });
  });

  it('gives the special tokens for an empty text, and refuses it where there are none', async () => {
    expect(idsOf(await (await open()).encode([''], WHOLE))).toEqual([2, 3]);
    await expect((await open({ definition: { post_processor: null } })).encode([''], WHOLE)).rejects.toThrow(/at least one token/);
  });

  it('truncates a text of any length to the tokens that the whole text begins with', async () => {
    const model = await open();
    const expected = idsOf(await model.encode(['one 😀 two three four five'], TRUNCATE));
    expect(expected).toHaveLength(MAX_TOKENS);
    const long = `one 😀 two three four five${' six 😀'.repeat(CHARACTERS_MAX)}`;
    expect(idsOf(await model.encode([long], TRUNCATE))).toEqual(expected);
    expect(idsOf(await model.encode([`one 😀 two three four five ${'😀 '.repeat(CHARACTERS_MAX)}`], TRUNCATE))).toEqual(expected);
  });

  it.each([
    ['spaces', `${' '.repeat(CHARACTERS_MAX)}one two three`],
    ['one endless word', `one ${'x'.repeat(CHARACTERS_MAX)} two three four five`],
  ])('refuses to truncate where the tokens would need more of the text than it reads: %s', async (_, text) => {
    await expect((await open()).encode([text], TRUNCATE)).rejects.toThrow(/whose 8 tokens that are kept lie in 2048 characters/);
  });

  it.each([
    ['digits in groups of three', { type: 'Split', pattern: { Regex: '[0-9]{1,3}' }, behavior: 'Isolated', invert: false }],
    ['groups of any four characters', { type: 'Split', pattern: { Regex: '.{4}' }, behavior: 'Isolated', invert: false }],
  ])('takes the start away from the tokens of the whole text, however long: %s', async (_, pre_tokenizer) => {
    const vocab = Object.fromEntries(Array.from({ length: 10_000 }, (_, i) => [String(i), i]));
    const definition = { added_tokens: [], post_processor: null, pre_tokenizer, model: { type: 'WordLevel', unk_token: '0', vocab } };
    const model = await open({ definition });
    const digits = (count: number): string => Array.from({ length: count }, (_, i) => (i % 9) + 1).join('');
    for (const count of [30, CHARACTERS_MAX + 1, CHARACTERS_MAX + 2, CHARACTERS_MAX + 3]) {
      const whole = await model.tokenize([digits(count)], { promptName: null, addSpecialTokens: true, spans: false });
      expect(idsOf(await model.encode([digits(count)], { ...TRUNCATE, truncationSide: 'left' }))).toEqual(whole[0]?.ids.slice(-MAX_TOKENS));
    }
  });

  it('refuses a text too long to be tokenized whole, and takes what it says to send', async () => {
    const model = await open();
    const encode = (text: string): Promise<TextRow[]> => model.encode([text], { ...TRUNCATE, truncationSide: 'left' });
    const text = 'a '.repeat(150_000);
    await expect(encode(text)).rejects.toThrow(/at most 262144 characters .* received 300000; send no more, the last ones/);
    expect(idsOf(await encode(text.slice(-262_144)))).toHaveLength(MAX_TOKENS);
  });

  it('refuses an output that has not one entry for each token', async () => {
    const [row] = await (await open()).encode(['a b'], WHOLE);
    const answer = (places: number) => ({
      outputs: [{ name: 'last_hidden_state', datatype: 'FP32' as const, shape: [1, places, 4], data: new Uint8Array(places * 16).fill(1) }],
      timing: { queueUs: 0, runUs: 0, runRows: 1, startedNs: 0 },
    });
    expect(row?.decodeVector(answer(4))).toHaveLength(4);
    for (const places of [3, 5, 8])
      expect(() => row?.decodeVector(answer(places))).toThrow(/one entry for each of 4 tokens but it has \d; set "task: tensor"/);
  });

  it.each([
    ['an output of two entries', { outputs: [{ ...output, shape: [-1, 2, 4] }] }, /each of any number of tokens but it has 2/],
    ['two rows at once', { inputs: SIGNATURE.inputs.map((input) => ({ ...input, shape: [2, -1] })) }, /the graph takes 2 at once/],
  ])('refuses a graph with %s', async (_, changes, message) => {
    await expect(open({ signature: changes })).rejects.toThrow(message);
  });

  it('refuses token ids that may be of another tokenizer, and says what to send', async () => {
    const model = await open();
    for (const ids of [[9906, 1917], [2, 100, 3], [0]]) {
      expect(() => model.encodeIds([[...ids]], WHOLE)).toThrow(
        expect.objectContaining({
          param: '[0]',
          message: expect.stringMatching(/send the text .*"tokenIds: true" in the model.yaml/) as string,
        }) as Error,
      );
    }
  });

  it("takes ids in special tokens that no OpenAI encoding begins with, as the model's tokenizer gives them", async () => {
    const model = await open({ bertIds: true });
    const own = idsOf(await model.encode(['a b'], WHOLE));
    expect(own).toEqual([101, 104, 105, 102]);
    expect(idsOf(model.encodeIds([own], WHOLE))).toEqual(own);
    for (const ids of [[104, 105], [101, 104], [104, 102], [101]])
      expect(() => model.encodeIds([ids], WHOLE)).toThrow(/begin with 101 and end with 102/);
  });

  it('takes any ids where model.yaml says that they are its own, and keeps special tokens when it cuts', async () => {
    const model = await open({ tokenIds: true });
    expect(idsOf(model.encodeIds([[5, 6]], WHOLE))).toEqual([5, 6]);
    expect(idsOf(model.encodeIds([[2, 5, 6, 7, 8, 9, 10, 11, 12, 3]], TRUNCATE))).toEqual([2, 5, 6, 7, 8, 9, 10, 3]);
    expect(idsOf(model.encodeIds([[5, 6, 7, 8, 9, 10, 11, 12, 13]], TRUNCATE))).toEqual([5, 6, 7, 8, 9, 10, 11, 12]);
    expect(() => model.encodeIds([[3000]], WHOLE)).toThrow(/from 0 to 2999 but received 3000/);
  });
});

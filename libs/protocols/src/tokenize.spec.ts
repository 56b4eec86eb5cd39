import { serveModels, type ServedModels } from '../../../test/fixtures/served-models';
import { parseEndpoint, prepare, runPrepared, type Endpoint } from '.';

const limits = { itemsMax: 4, tensorBytesMax: 1 << 20 };
const TOKENIZE = parseEndpoint('/v1/tokenize') as Endpoint;
const DETOKENIZE = parseEndpoint('/v1/detokenize') as Endpoint;

interface Tokens {
  count: number;
  max_model_len: number;
  tokens: number[];
  token_strs?: string[];
  offsets?: [number, number][];
}

describe('POST /v1/tokenize and /v1/detokenize', () => {
  let served: ServedModels;
  beforeAll(async () => {
    served = await serveModels(['encoder-tiny', 'no-mask']);
  });
  afterAll(() => served.close());

  const post = async (endpoint: Endpoint, body: object): Promise<unknown> => {
    const prepared = await prepare(endpoint, { model: 'encoder-tiny', ...body }, null, served.catalog, limits);
    expect(prepared.items).toEqual([]);
    return (await runPrepared(served.backend, prepared, null)).body;
  };
  const tokenize = async (body: object): Promise<Tokens> => (await post(TOKENIZE, body)) as Tokens;
  const detokenize = async (body: object): Promise<unknown> => post(DETOKENIZE, body);
  const fedIds = async (text: string): Promise<number[]> => {
    const [row] =
      (await served.catalog.find('encoder-tiny', null).text?.encode([text], { truncate: false, topK: null, promptName: null })) ?? [];
    return Array.from(new BigInt64Array(row?.item.inputs[0]?.data.slice().buffer as ArrayBuffer), Number);
  };

  const TEXT = 'free 😀 Würde';

  it.each(['prompt', 'input', 'text', 'inputs'])('gives the ids that the model is fed, for %s', async (field) => {
    const ids = await fedIds(TEXT);
    expect(await tokenize({ [field]: TEXT })).toEqual({ model: 'encoder-tiny', count: ids.length, max_model_len: 2048, tokens: ids });
  });

  it('leaves special tokens out, and shows tokens with their places in characters', async () => {
    const ids = await fedIds(TEXT);
    const bare = await tokenize({ prompt: TEXT, add_special_tokens: false, return_token_strs: true, return_offsets: true });
    expect(bare.tokens).toEqual(ids.slice(1, -1));
    expect((await tokenize({ prompt: 'free', add_special_tokens: false })).tokens).toEqual((await fedIds('free')).slice(1, -1));
    expect(bare.token_strs).toHaveLength(bare.count);
    const characters = [...TEXT];
    const origins = bare.offsets?.map(([start, end]) => characters.slice(start, end).join('')) ?? [];
    expect(origins.join('')).toBe('free😀Würde');
    expect(bare.token_strs?.[0]).toBe(origins[0]);
  });

  it('takes pairs and arrays, and texts of any number of tokens', async () => {
    const pair = await tokenize({ prompt: 'a', text_pair: 'b' });
    expect(pair.count).toBe(5);
    expect(await tokenize({ prompt: ['a', { text: 'a', text_pair: 'b' }] })).toMatchObject({
      object: 'list',
      data: [
        { index: 0, count: 3 },
        { index: 1, tokens: pair.tokens },
      ],
    });
    expect((await tokenize({ prompt: 'x '.repeat(3000) })).count).toBe(3002);
  });

  it('turns ids back into the text', async () => {
    const { tokens } = await tokenize({ prompt: 'born free' });
    expect(await detokenize({ tokens, skip_special_tokens: true })).toEqual({
      model: 'encoder-tiny',
      prompt: 'born free',
      text: 'born free',
    });
    expect(await detokenize({ tokens })).toMatchObject({ prompt: expect.stringMatching(/^\[CLS\] .*born free.*\[SEP\]$/) as string });
    expect(await detokenize({ tokens: [tokens, []], skip_special_tokens: true })).toMatchObject({
      object: 'list',
      data: [
        { index: 0, prompt: 'born free', text: 'born free' },
        { index: 1, prompt: '', text: '' },
      ],
    });
  });

  const refusals: [string, Endpoint, object, string, RegExp][] = [
    ['no text', TOKENIZE, {}, 'prompt', /received nothing/],
    ['two texts', TOKENIZE, { prompt: 'a', input: 'b' }, 'input', /received prompt and input/],
    ['token ids', TOKENIZE, { prompt: [1, 2] }, 'prompt[0]', /received 1/],
    ['too many texts', TOKENIZE, { prompt: ['a', 'b', 'c', 'd', 'e'] }, 'prompt', /at most 4/],
    ['a pair beside an array', TOKENIZE, { prompt: ['a'], text_pair: 'b' }, 'text_pair', /put each pair into/],
    ['a field that is not known', TOKENIZE, { prompt: 'a', messages: [] }, 'messages', /received "messages"/],
    ['half of a pair of surrogates', TOKENIZE, { prompt: ['a', '\udc00'] }, 'prompt[1]', /lone surrogate/],
    ['too many characters', TOKENIZE, { prompt: ['x'.repeat(200_000), 'x'.repeat(100_000)] }, 'prompt', /at most 262144 characters/],
    ['a prompt that there is not', TOKENIZE, { prompt: 'a', prompt_name: 'q' }, 'prompt_name', /no prompts/],
    ['a model without a tokenizer', TOKENIZE, { model: 'no-mask', prompt: 'a' }, 'model', /takes tensors only/],
    ['no tokens', DETOKENIZE, {}, 'tokens', /an array of token ids/],
    ['an id that is not in the vocabulary', DETOKENIZE, { tokens: [5, 30522] }, 'tokens[1]', /from 0 to 30521 but received 30522/],
    ['such an id in a list', DETOKENIZE, { tokens: [[5], [-1]] }, 'tokens[1][0]', /received -1/],
    ['a fraction', DETOKENIZE, { tokens: [1.5] }, 'tokens[0]', /received 1\.5/],
    ['a huge integer', DETOKENIZE, { tokens: [2n ** 64n] }, 'tokens[0]', /received 18446744073709552000/],
    ['text', DETOKENIZE, { tokens: ['a'] }, 'tokens[0]', /received \\?"a/],
    ['ids mixed with lists', DETOKENIZE, { tokens: [1, [2]] }, 'tokens', /token ids/],
    ['lists mixed with ids', DETOKENIZE, { tokens: [[1], 2] }, 'tokens[1]', /an array of token ids/],
    ['a model without a tokenizer', DETOKENIZE, { model: 'no-mask', tokens: [1] }, 'model', /takes tensors only/],
  ];
  it.each(refusals)('refuses %s (%#)', async (_, endpoint, body, param, message) => {
    await expect(post(endpoint, body)).rejects.toMatchObject({
      code: 'invalid_request',
      param,
      message: expect.stringMatching(message) as string,
    });
  });
});

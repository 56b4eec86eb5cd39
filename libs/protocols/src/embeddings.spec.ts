import { InterleaveError, type ItemResult } from '@app/contracts';
import { serveModels, type ServedModels } from '../../../test/fixtures/served-models';
import { parseEndpoint, prepare, runPrepared, type Endpoint } from '.';

const limits = { itemsMax: 4, tensorBytesMax: 1 << 20 };
const endpoint = parseEndpoint('/v1/embeddings') as Endpoint;

interface Answer {
  object: string;
  model: string;
  data: { object: string; index: number; embedding: number[] | string }[];
  usage: { prompt_tokens: number; total_tokens: number };
}

describe('POST /v1/embeddings', () => {
  let served: ServedModels;
  beforeAll(async () => {
    served = await serveModels(['encoder-tiny', 'classifier']);
  });
  afterAll(() => served.close());

  const post = async (body: unknown): Promise<Answer> => {
    const answer = await runPrepared(served.backend, await prepare(endpoint, body, null, served.catalog, limits), null);
    return answer.body as Answer;
  };
  const vectors = async (body: object): Promise<number[][]> =>
    (await post({ model: 'encoder-tiny', ...body })).data.map(({ embedding }) => embedding as number[]);

  it('answers in the OpenAI shape, with tokens counted', async () => {
    const body = await post({ model: 'encoder-tiny', input: ['Hello', 'All human beings are born free.'] });
    expect(body).toMatchObject({
      object: 'list',
      model: 'encoder-tiny',
      data: [
        { object: 'embedding', index: 0 },
        { object: 'embedding', index: 1 },
      ],
    });
    expect(body.data[0]?.embedding).toHaveLength(128);
    const both = await Promise.all(['Hello', 'All human beings are born free.'].map((input) => post({ model: 'encoder-tiny', input })));
    expect(body.usage.total_tokens).toBe(both.reduce((sum, { usage }) => sum + usage.prompt_tokens, 0));
  });

  it('base64 holds the same float32 numbers as float', async () => {
    const [numbers] = await vectors({ input: 'peace' });
    const { data } = await post({ model: 'encoder-tiny', input: 'peace', encoding_format: 'base64' });
    const bytes = Buffer.from(data[0]?.embedding as string, 'base64');
    expect(Array.from({ length: 128 }, (_, i) => bytes.readFloatLE(4 * i))).toEqual((numbers as number[]).map(Math.fround));
  });

  it('dimensions cuts the vector and normalises it again', async () => {
    const [[full], [short]] = await Promise.all([vectors({ input: 'peace' }), vectors({ input: 'peace', dimensions: 16 })]);
    const head = (full as number[]).slice(0, 16);
    const length = Math.hypot(...head);
    expect(short).toHaveLength(16);
    (short as number[]).forEach((value, i) => expect(value).toBeCloseTo((head[i] as number) / length, 6));
  });

  it('token ids give the vector of the text they stand for', async () => {
    const [row] =
      (await served.catalog.find('encoder-tiny', null).text?.encode(['freedom'], { truncate: false, topK: null, promptName: null })) ?? [];
    const ids = Array.from(new BigInt64Array(row?.item.inputs[0]?.data.slice().buffer as ArrayBuffer), Number);
    const [[text], [flat], [listed]] = await Promise.all([
      vectors({ input: 'freedom' }),
      vectors({ input: ids }),
      vectors({ input: [ids] }),
    ]);
    expect(flat).toEqual(text);
    expect(listed).toEqual(text);
  });

  it.each([
    [{ truncate: 'none', truncate_prompt_tokens: 5 }, 'truncate', 'truncate_prompt_tokens'],
    [{ truncate: 'NONE', truncate_prompt_tokens: -1 }, 'truncate', 'truncate_prompt_tokens'],
    [{ truncate: false, truncate_prompt_tokens: 5 }, 'truncate', 'truncate_prompt_tokens'],
    [{ truncate: 'none', parameters: { truncate: 'end' } }, 'truncate', 'parameters.truncate'],
    [{ truncate: true, parameters: { truncate: false } }, 'parameters.truncate', 'truncate'],
    [{ parameters: { truncate: 'none' }, truncate_prompt_tokens: 5 }, 'parameters.truncate', 'truncate_prompt_tokens'],
  ])('refuses texts that are cut and not: %j', async (fields, keeping, cutting) => {
    await expect(post({ model: 'encoder-tiny', input: 'a b c d e f', ...fields })).rejects.toMatchObject({
      code: 'invalid_request',
      param: keeping,
      message: `expected texts to be cut or not but ${keeping} says no and ${cutting} says yes; leave out one of the two`,
    });
  });

  it.each([{ truncate: true }, { truncate_prompt_tokens: -1 }, { truncate_prompt_tokens: 4096 }, { parameters: { truncate: true } }])(
    'cuts an over-long text with %j',
    async (field) => {
      const [[cut], [exact]] = await Promise.all([vectors({ input: 'x '.repeat(3000), ...field }), vectors({ input: 'x '.repeat(2046) })]);
      expect(cut).toEqual(exact);
    },
  );

  it.each([2, 3, 5, 7, 8, 2047])('cuts texts to %d tokens, special ones included, as their ids are cut', async (tokensMax) => {
    const text = 'x '.repeat(2100);
    const body = await post({ model: 'encoder-tiny', input: [text, 'x'], truncate_prompt_tokens: tokensMax });
    const [[exact], [short]] = await Promise.all([
      vectors({ input: 'x '.repeat(tokensMax - 2) }),
      vectors({ input: tokensMax === 2 ? '' : 'x' }),
    ]);
    expect(body.data.map(({ embedding }) => embedding)).toEqual([exact, short]);
    expect(body.usage.prompt_tokens).toBe(tokensMax + Math.min(3, tokensMax));
  });

  it.each([
    [{ truncate: 'end' }, 'right'],
    [{ truncate: 'END' }, 'right'],
    [{ truncate: 'start' }, 'left'],
    [{ truncate: 'START' }, 'left'],
    [{ truncate: true, truncation_direction: 'Left' }, 'left'],
    [{ truncate: true, truncation_side: 'left' }, 'left'],
    [{ parameters: { truncate: 'start' } }, 'left'],
    [{ truncate_prompt_tokens: 2048, truncation_direction: 'left' }, 'left'],
  ])('keeps the other end of the text for %j', async (field, gone) => {
    const words = `b ${'x '.repeat(3000)}c`;
    const kept = gone === 'left' ? `${'x '.repeat(2045)}c` : `b ${'x '.repeat(2045)}`;
    const [[cut], [exact]] = await Promise.all([vectors({ input: words, ...field }), vectors({ input: kept })]);
    expect(cut).toEqual(exact);
  });

  it('drops token ids at the start as well', async () => {
    const idsOf = async (text: string): Promise<number[]> => {
      const [row] =
        (await served.catalog.find('encoder-tiny', null).text?.encode([text], { truncate: false, topK: null, promptName: null })) ?? [];
      return Array.from(new BigInt64Array(row?.item.inputs[0]?.data.slice().buffer as ArrayBuffer), Number);
    };
    const [[cut], [exact]] = await Promise.all([
      vectors({ input: await idsOf('b x x c'), truncate_prompt_tokens: 4, truncation_side: 'left' }),
      vectors({ input: 'x c' }),
    ]);
    expect(cut).toEqual(exact);
  });

  it('cuts token ids to the number of tokens, and keeps those around the text', async () => {
    const idsOf = async (text: string): Promise<number[]> => {
      const [row] =
        (await served.catalog.find('encoder-tiny', null).text?.encode([text], { truncate: false, topK: null, promptName: null })) ?? [];
      return Array.from(new BigInt64Array(row?.item.inputs[0]?.data.slice().buffer as ArrayBuffer), Number);
    };
    const [[cut], [exact]] = await Promise.all([
      vectors({ input: await idsOf('x x x x'), truncate_prompt_tokens: 4 }),
      vectors({ input: 'x x' }),
    ]);
    expect(cut).toEqual(exact);
  });

  it('embeds the empty text as its special tokens, and ignores what changes nothing', async () => {
    const [row] =
      (await served.catalog.find('encoder-tiny', null).text?.encode([''], { truncate: false, topK: null, promptName: null })) ?? [];
    const ids = Array.from(new BigInt64Array(row?.item.inputs[0]?.data.slice().buffer as ArrayBuffer), Number);
    expect(ids).toHaveLength(2);
    const [[empty, a], [special]] = await Promise.all([
      vectors({ input: ['', 'a'], user: 'u', late_chunking: false, task: null }),
      vectors({ input: [ids] }),
    ]);
    expect(empty).toEqual(special);
    expect(a).not.toEqual(empty);
  });

  it.each(['float', 'base64'])('fails in %s when a vector is not finite, also where dimensions cut it off', async (encoding) => {
    const prepared = await prepare(
      endpoint,
      { model: 'encoder-tiny', input: ['a', 'b'], encoding_format: encoding, dimensions: 2 },
      null,
      served.catalog,
      limits,
    );
    const { model, version, items, timeoutMs, priority } = prepared;
    const results = (await served.backend.infer({ model, version, items, timeoutMs, priority, signal: null })) as ItemResult[];
    const data = results[1]?.outputs[0]?.data as Uint8Array;
    new DataView(data.buffer, data.byteOffset).setFloat32(data.byteLength - 4, NaN, true);
    const error = expect.objectContaining({
      code: 'inference_failed',
      param: 'input[1]',
      message: expect.stringMatching(/NaN/) as string,
    }) as Error;
    await expect(prepared.respond(results)).rejects.toThrow(error);
  });

  const refusals: [string, unknown, string, string | null, RegExp][] = [
    ['no body', null, 'invalid_request', 'body', /expected an object for body but received null/],
    ['an array as body', [], 'invalid_request', 'body', /received an array of 0/],
    ['no model', { input: 'a' }, 'invalid_request', 'model', /expected a string for model but received nothing/],
    ['a model that is no string', { model: 7, input: 'a' }, 'invalid_request', 'model', /received 7/],
    ['an unknown model', { model: '../../etc', input: 'a' }, 'model_not_found', 'model', /there is no model "\.\.\/\.\.\/etc"/],
    ['a prototype name as model', { model: '__proto__', input: 'a' }, 'model_not_found', 'model', /there is no model/],
    ['a model of another task', { model: 'classifier', input: 'a' }, 'invalid_request', 'model', /does sequence-classification; use POST/],
    ['no input', { model: 'encoder-tiny' }, 'invalid_request', 'input', /expected a string, an array/],
    ['an object as input', { model: 'encoder-tiny', input: {} }, 'invalid_request', 'input', /received an object/],
    ['an empty array', { model: 'encoder-tiny', input: [] }, 'invalid_request', 'input', /at least one/],
    [
      'too many texts',
      { model: 'encoder-tiny', input: ['a', 'b', 'c', 'd', 'e'] },
      'invalid_request',
      'input',
      /at most 4 elements for input but received an array of 5/,
    ],
    ['a number among texts', { model: 'encoder-tiny', input: ['a', 1] }, 'invalid_request', 'input[1]', /expected a string/],
    [
      'a text among token ids',
      { model: 'encoder-tiny', input: [1, 'a'] },
      'invalid_request',
      'input[1]',
      /token id from 0 to 30521 but received "a"/,
    ],
    ['a text among lists of token ids', { model: 'encoder-tiny', input: [[1], 'a'] }, 'invalid_request', 'input[1]', /array of token ids/],
    ['an empty list of token ids', { model: 'encoder-tiny', input: [[1], []] }, 'invalid_request', 'input[1]', /at least one token id/],
    ['a negative token id', { model: 'encoder-tiny', input: [2, -1] }, 'invalid_request', 'input[1]', /received -1/],
    ['a token id out of the vocabulary', { model: 'encoder-tiny', input: [[30_522]] }, 'invalid_request', 'input[0][0]', /received 30522/],
    ['a fractional token id', { model: 'encoder-tiny', input: [[1.5]] }, 'invalid_request', 'input[0][0]', /received 1\.5/],
    [
      'an over-long text',
      { model: 'encoder-tiny', input: ['a', 'x '.repeat(2100)] },
      'invalid_request',
      'input[1]',
      /at most 2048 tokens but received 2102; .* "parameters": {"truncate": true}/,
    ],
    [
      'an enormous text',
      { model: 'encoder-tiny', input: 'x'.repeat(600_000) },
      'invalid_request',
      'input',
      /at most 524288 characters, but received 600000/,
    ],
    [
      'too many token ids',
      { model: 'encoder-tiny', input: new Array(2049).fill(1) },
      'invalid_request',
      'input',
      /at most 2048 tokens but received 2049/,
    ],
    [
      'an unknown side',
      { model: 'encoder-tiny', input: 'a', truncate: 'middle' },
      'invalid_request',
      'truncate',
      /"none", "start" or "end"/,
    ],
    [
      'two ends to cut',
      { model: 'encoder-tiny', input: 'a', truncate: 'start', truncation_direction: 'Right' },
      'invalid_request',
      'truncate',
      /both are named; leave out one/,
    ],
    [
      'an unknown direction',
      { model: 'encoder-tiny', input: 'a', truncation_direction: 'Up' },
      'invalid_request',
      'truncation_direction',
      /"left" or "right"/,
    ],
    [
      'no tokens',
      { model: 'encoder-tiny', input: 'a', truncate_prompt_tokens: 0 },
      'invalid_request',
      'truncate_prompt_tokens',
      /at least 1 for truncate_prompt_tokens but received 0/,
    ],
    [
      'fewer tokens than the special ones',
      { model: 'encoder-tiny', input: ['a', 'b'], truncate_prompt_tokens: 1 },
      'invalid_request',
      'input[0]',
      /room for 2 special tokens but the text is cut to 1 tokens; raise the number/,
    ],
    [
      'tokens as text',
      { model: 'encoder-tiny', input: 'a', truncate_prompt_tokens: '5' },
      'invalid_request',
      'truncate_prompt_tokens',
      /an integer from -1/,
    ],
    [
      'an unknown parameter',
      { model: 'encoder-tiny', input: 'a', parameters: { top_k: 1 } },
      'invalid_request',
      'parameters',
      /only truncate in parameters but received "top_k"/,
    ],
    [
      'an over-long text with truncate off',
      { model: 'encoder-tiny', input: 'x '.repeat(2100), truncate: false },
      'invalid_request',
      'input',
      /at most 2048 tokens/,
    ],
    [
      'a kind of input',
      { model: 'encoder-tiny', input: 'a', input_type: 'query' },
      'invalid_request',
      'input_type',
      /expected no input_type, as the model has no prompts, but received "query"/,
    ],
    ['a task', { model: 'encoder-tiny', input: 'a', task: 'retrieval.query' }, 'invalid_request', 'task', /leave task out/],
    ['late chunking', { model: 'encoder-tiny', input: 'a', late_chunking: true }, 'invalid_request', 'late_chunking', /not supported/],
    [
      'texts without special tokens',
      { model: 'encoder-tiny', input: 'a', add_special_tokens: false },
      'invalid_request',
      'add_special_tokens',
      /not supported/,
    ],
    [
      'a token id beyond 2^53',
      { model: 'encoder-tiny', input: [2, 2n ** 63n] },
      'invalid_request',
      'input[1]',
      /received 9223372036854776000/,
    ],
    [
      'an unknown encoding',
      { model: 'encoder-tiny', input: 'a', encoding_format: 'hex' },
      'invalid_request',
      'encoding_format',
      /"float" or "base64"/,
    ],
    ['no dimensions', { model: 'encoder-tiny', input: 'a', dimensions: 0 }, 'invalid_request', 'dimensions', /from 1 to 128/],
    [
      'more dimensions than there are',
      { model: 'encoder-tiny', input: 'a', dimensions: 129 },
      'invalid_request',
      'dimensions',
      /from 1 to 128 for dimensions but received 129/,
    ],
    ['fractional dimensions', { model: 'encoder-tiny', input: 'a', dimensions: 1.5 }, 'invalid_request', 'dimensions', /an integer/],
  ];
  it.each(refusals)('refuses %s', async (_, body, code, param, message) => {
    const error = await post(body).then(
      () => null,
      (reason: unknown) => reason as InterleaveError,
    );
    expect({ code: error?.code, param: error?.param }).toEqual({ code, param });
    expect(error?.message).toMatch(message);
  });
});

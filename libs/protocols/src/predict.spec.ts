import { InterleaveError } from '@app/contracts';
import { serveModels, type ServedModels } from '../../../test/fixtures/served-models';
import { parseEndpoint, prepare, runPrepared, type Endpoint } from '.';

const limits = { itemsMax: 4, tensorBytesMax: 4096 };

describe('POST /v1/models/{m}:predict', () => {
  let served: ServedModels;
  beforeAll(async () => {
    served = await serveModels([
      'encoder-tiny',
      'classifier',
      'token-classifier',
      'reranker',
      'fixed',
      'no-batch',
      'strings',
      'types',
      'half',
    ]);
  });
  afterAll(() => served.close());

  const predict = async (model: string, body: unknown): Promise<unknown[]> => {
    const endpoint = parseEndpoint(`/v1/models/${model}:predict`) as Endpoint;
    const answer = await runPrepared(served.backend, await prepare(endpoint, body, null, served.catalog, limits), null);
    return (answer.body as { predictions: unknown[] }).predictions;
  };

  it('gives a vector for each text, the one that /v1/embeddings gives', async () => {
    const predictions = (await predict('encoder-tiny', { instances: ['peace', { text: 'freedom' }] })) as number[][];
    expect(predictions.map((vector) => vector.length)).toEqual([128, 128]);
    expect(Math.hypot(...(predictions[1] as number[]))).toBeCloseTo(1, 5);
  });

  it('gives labels with scores that sum to 1, best first, at most top_k', async () => {
    const [all] = (await predict('classifier', { instances: ['peace'] })) as { label: string; score: number }[][];
    expect(all?.map(({ label }) => label).sort()).toEqual(['negative', 'neutral', 'positive']);
    expect(all?.reduce((sum, { score }) => sum + score, 0)).toBeCloseTo(1, 6);
    expect(all?.map(({ score }) => score)).toEqual(all?.map(({ score }) => score).sort((a, b) => b - a));
    expect(await predict('classifier', { instances: ['peace'], parameters: { top_k: 1 } })).toEqual([all?.slice(0, 1)]);
  });

  it('names the characters of each entity, counted in code points', async () => {
    const text = '😀 Ёлка in Genève';
    const [entities] = (await predict('token-classifier', { instances: [text] })) as {
      entity: string;
      word: string;
      start: number;
      end: number;
      index: number;
    }[][];
    expect(entities?.length).toBeGreaterThan(0);
    for (const { entity, word, start, end } of entities ?? []) {
      expect(['B-PER', 'I-PER', 'B-LOC', 'I-LOC']).toContain(entity);
      if (word !== '[UNK]') expect([...text].slice(start, end).join('')).toBe(word.replace('##', ''));
    }
  });

  it('scores a pair of texts, and the order of the pair matters', async () => {
    const [ab, ba] = (await predict('reranker', {
      instances: [
        { text: 'war and peace', text_pair: 'a novel' },
        { text: 'a novel', text_pair: 'war and peace' },
      ],
    })) as { score: number }[];
    expect(ab?.score).toBeGreaterThan(0);
    expect(ab?.score).toBeLessThan(1);
    expect(ab?.score).not.toBeCloseTo(ba?.score as number, 6);
  });

  it('cuts an over-long text when truncate is set', async () => {
    const long = 'x '.repeat(3000);
    const [cut] = (await predict('encoder-tiny', { instances: [long], parameters: { truncate: true } })) as number[][];
    const [exact] = (await predict('encoder-tiny', { instances: ['x '.repeat(2046)] })) as number[][];
    expect(cut).toEqual(exact);
  });

  it('takes nested lists by input name and leaves out the batch dimension', async () => {
    const image = Array.from({ length: 3 }, () => Array.from({ length: 8 }, () => new Array<number>(8).fill(0.5)));
    const [logits] = (await predict('fixed', { instances: [{ image }] })) as number[][];
    expect(logits).toHaveLength(5);
  });

  it('takes a model without batch dimension as it is', async () => {
    expect(
      await predict('no-batch', {
        instances: [
          {
            x: [
              [1, 2, 3],
              [4, 5, 6],
            ],
            y: [1, 1, 1],
          },
        ],
      }),
    ).toEqual([
      [
        [2, 3, 4],
        [5, 6, 7],
      ],
    ]);
  });

  it('takes instances without a name where the model has one input', async () => {
    const image = Array.from({ length: 3 }, () => Array.from({ length: 8 }, () => new Array<number>(8).fill(0.5)));
    expect(await predict('fixed', { instances: [image, image], signature_name: 'serving_default' })).toEqual(
      await predict('fixed', { instances: [{ image }, { image }] }),
    );
    expect(await predict('strings', { instances: ['yes', { text: 'grün' }] })).toEqual(
      await predict('strings', { instances: [{ text: 'yes' }, { text: 'grün' }] }),
    );
  });

  it('gives outputs by name when there are several, and scalars as values', async () => {
    expect(await predict('strings', { instances: [{ text: 'yes' }, { text: 'grün' }] })).toEqual([
      { echo: 'yes', label: 1 },
      { echo: 'grün', label: -1 },
    ]);
  });

  const pixels = (size: number): number[] => new Array<number>(size).fill(0);
  const refusals: [string, string, unknown, string, string | null, RegExp][] = [
    ['no body', 'encoder-tiny', undefined, 'invalid_request', 'body', /received nothing/],
    ['no instances', 'encoder-tiny', {}, 'invalid_request', 'instances', /expected an array/],
    ['empty instances', 'encoder-tiny', { instances: [] }, 'invalid_request', 'instances', /at least one/],
    ['too many instances', 'encoder-tiny', { instances: ['a', 'b', 'c', 'd', 'e'] }, 'invalid_request', 'instances', /at most 4/],
    ['a number as text', 'encoder-tiny', { instances: ['a', 5] }, 'invalid_request', 'instances[1]', /received 5/],
    ['no text', 'encoder-tiny', { instances: [{}] }, 'invalid_request', 'instances[0].text', /expected a string/],
    [
      'an unknown key',
      'encoder-tiny',
      { instances: [{ text: 'a', txt: 'b' }] },
      'invalid_request',
      'instances[0]',
      /only text, text_pair .* "txt"/,
    ],
    [
      'a pair that is no text',
      'reranker',
      { instances: [{ text: 'a', text_pair: [] }] },
      'invalid_request',
      'instances[0].text_pair',
      /expected a string/,
    ],
    [
      'an over-long text',
      'encoder-tiny',
      { instances: ['a', 'x '.repeat(2100)] },
      'invalid_request',
      'instances[1]',
      /at most 2048 tokens but received 2102; shorten the input, or have it cut by "parameters": {"truncate": true}/,
    ],
    [
      'an unknown parameter',
      'encoder-tiny',
      { instances: ['a'], parameters: { topk: 1 } },
      'invalid_request',
      'parameters',
      /top_k, truncate, prompt_name, service_tier in parameters but received "topk"/,
    ],
    ['top_k of 0', 'classifier', { instances: ['a'], parameters: { top_k: 0 } }, 'invalid_request', 'parameters.top_k', /integer from 1/],
    [
      'truncate as text',
      'classifier',
      { instances: ['a'], parameters: { truncate: 'yes' } },
      'invalid_request',
      'parameters.truncate',
      /"none", "start" or "end"/,
    ],
    ['parameters that are no object', 'classifier', { instances: ['a'], parameters: 5 }, 'invalid_request', 'parameters', /an object/],
    [
      'a list for a model of several inputs',
      'no-batch',
      { instances: [[1, 2]] },
      'invalid_request',
      'instances[0]',
      /an object with the inputs x, y for instances\[0\] but received an array of 2/,
    ],
    [
      'the columnar form',
      'fixed',
      { inputs: { image: [] } },
      'invalid_request',
      'inputs',
      /expected instances, one for each row, .*\/infer$/,
    ],
    ['another signature', 'fixed', { instances: [], signature_name: 'classify' }, 'invalid_request', 'signature_name', /"serving_default"/],
    [
      'a text for a tensor model',
      'fixed',
      { instances: ['a'] },
      'invalid_request',
      'instances[0]',
      /expected tensors for instances\[0\] but received a text, .* takes no text/,
    ],
    [
      'a missing input',
      'no-batch',
      {
        instances: [
          {
            x: [
              [1, 2, 3],
              [4, 5, 6],
            ],
          },
        ],
      },
      'invalid_request',
      'instances[0].y',
      /expected the input "y"/,
    ],
    ['an unknown input', 'no-batch', { instances: [{ x: [], z: [] }] }, 'invalid_request', 'instances[0]', /only x, y .* "z"/],
    [
      'a wrong shape',
      'fixed',
      { instances: [{ image: pixels(64) }] },
      'invalid_request',
      'instances[0].image',
      /the shape \[0 or more, 3, 8, 8\]/,
    ],
    [
      'a ragged list',
      'no-batch',
      {
        instances: [
          {
            x: [
              [1, 2, 3],
              [4, 5],
            ],
            y: [1, 2, 3],
          },
        ],
      },
      'invalid_request',
      'instances[0].x[1]',
      /expected 3 elements/,
    ],
    [
      'a text among numbers',
      'no-batch',
      {
        instances: [
          {
            x: [
              [1, 2, 3],
              [4, 'a', 6],
            ],
            y: [1, 2, 3],
          },
        ],
      },
      'invalid_request',
      'instances[0].x',
      /a number for element 4 .* "a"/,
    ],
    [
      'a number that is too large',
      'no-batch',
      {
        instances: [
          {
            x: [
              [1, 2, 3],
              [4, 1e39, 6],
            ],
            y: [1, 2, 3],
          },
        ],
      },
      'invalid_request',
      'instances[0].x',
      /a number that FP32 holds for element 4/,
    ],
    [
      'a list that is too deep',
      'no-batch',
      { instances: [{ x: [[[[[[[[[1]]]]]]]]], y: [1, 2, 3] }] },
      'invalid_request',
      'instances[0].x',
      /at most 8 levels/,
    ],
    [
      'float16 out of range',
      'half',
      { instances: [{ features: [[...pixels(15), 7e4]], attention_mask: [1] }] },
      'invalid_request',
      'instances[0].features',
      /a number that FP16 holds for element 15/,
    ],
    ['an unknown model', 'nope', { instances: ['a'] }, 'model_not_found', 'model', /no model "nope"/],
    ['an unknown version', 'encoder-tiny/versions/7', { instances: ['a'] }, 'model_not_found', 'model', /no version "7"; it has 1/],
  ];
  it.each(refusals)('refuses %s', async (_, model, body, code, param, message) => {
    const error = await predict(model, body).then(
      () => null,
      (reason: unknown) => reason as InterleaveError,
    );
    expect({ code: error?.code, param: error?.param }).toEqual({ code, param });
    expect(error?.message).toMatch(message);
  });
});

import { serveModels, type ServedModels } from '../../../test/fixtures/served-models';
import { parseEndpoint, prepare, runPrepared, type Endpoint } from '.';

const limits = { itemsMax: 4, tensorBytesMax: 1 << 20 };
const CLASSIFY = parseEndpoint('/v1/classify') as Endpoint;
const PREDICT = parseEndpoint('/v1/models/classifier:predict') as Endpoint;

interface Scored {
  label: string;
  score: number;
}
interface Answer {
  data: { index: number; label: string; probs: number[]; num_classes: number; prediction: string; score: number; predictions: Scored[] }[];
  usage: { total_tokens: number };
}

describe('POST /v1/classify', () => {
  let served: ServedModels;
  beforeAll(async () => {
    served = await serveModels(['reranker', 'classifier', 'token-classifier']);
  });
  afterAll(() => served.close());

  const post = async (body: object, endpoint = CLASSIFY): Promise<unknown> =>
    (await runPrepared(served.backend, await prepare(endpoint, body, null, served.catalog, limits), null)).body;
  const classify = async (body: object): Promise<Answer> => (await post({ model: 'classifier', ...body })) as Answer;
  const predict = async (instances: unknown[]): Promise<Scored[][]> =>
    ((await post({ instances }, PREDICT)) as { predictions: Scored[][] }).predictions;

  it('gives the labels of :predict, in the shapes of vLLM and Jina', async () => {
    const [first, second] = await predict(['free', { text: 'free', text_pair: 'x' }]);
    const { data, usage } = await classify({ input: ['free', { text: 'free', text_pair: 'x' }] });
    expect(data.map(({ predictions }) => predictions)).toEqual([first, second]);
    expect(first).not.toEqual(second);
    const byClass = ['negative', 'neutral', 'positive'].map((label) => first?.find((each) => each.label === label)?.score);
    const [{ label, score } = { label: '', score: NaN }] = first ?? [];
    expect(data[0]).toMatchObject({ object: 'classification', index: 0, label, prediction: label, score, num_classes: 3, probs: byClass });
    expect(usage.total_tokens).toBeGreaterThan(0);
  });

  it('takes one text without an array, the best k, and raw scores', async () => {
    const { data } = await classify({ input: 'free', top_k: 1 });
    expect(data).toEqual([
      { ...(await classify({ input: ['free'] })).data[0], predictions: [{ label: data[0]?.label, score: data[0]?.score }] },
    ]);
    const logits = (await classify({ input: { text: 'free' }, raw_scores: true })).data[0]?.probs as number[];
    const powers = logits.map(Math.exp);
    const sum = powers.reduce((a, b) => a + b, 0);
    expect(data[0]?.probs).toEqual(powers.map((power) => expect.closeTo(power / sum, 10) as number));
  });

  const refusals: [string, object, string, RegExp][] = [
    ['no input', {}, 'input', /received nothing/],
    ['a number', { input: 3 }, 'input', /received 3/],
    ['an empty list', { input: [] }, 'input', /at least one/],
    ['a number in the list', { input: ['a', 1] }, 'input[1]', /received 1/],
    ['other fields of a text', { input: [{ text: 'a', labels: [] }] }, 'input[0]', /received "labels"/],
    ['labels of its own (Jina)', { input: 'a', labels: ['x'] }, 'labels', /received "labels"/],
    ['top_k of zero', { input: 'a', top_k: 0 }, 'top_k', /from 1/],
    ['a text that is too long', { input: ['a', 'x '.repeat(600)] }, 'input[1]', /input\[1\]: expected at most 512 tokens/],
    [
      'a reranker',
      { model: 'reranker', input: 'a' },
      'model',
      /use POST \/v1\/rerank, or POST \/v1\/models\/reranker:predict for texts without a pair/,
    ],
    ['a model of entities', { model: 'token-classifier', input: 'a' }, 'model', /use POST \/v1\/models\/token-classifier:predict/],
  ];
  it.each(refusals)('refuses %s', async (_, body, param, message) => {
    await expect(classify(body)).rejects.toMatchObject({
      code: 'invalid_request',
      param,
      message: expect.stringMatching(message) as string,
    });
  });
});

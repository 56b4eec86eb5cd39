import type { ItemResult } from '@app/contracts';
import { serveModels, type ServedModels } from '../../../test/fixtures/served-models';
import { parseEndpoint, prepare, runPrepared, type Endpoint } from '.';

const limits = { itemsMax: 4, tensorBytesMax: 1 << 20 };
const RERANK = parseEndpoint('/v1/rerank') as Endpoint;
const PREDICT = parseEndpoint('/v1/models/reranker:predict') as Endpoint;

const LOGITS = { name: 'logits', datatype: 'FP32' as const, shape: [1, 1] };
/** As the worker gives it. */
const ofLogit = (logit: number): ItemResult => ({
  outputs: [{ ...LOGITS, data: new Uint8Array(Float32Array.of(logit).buffer) }],
  timing: { queueUs: 0, runUs: 0, runRows: 1, startedNs: 0 },
});

interface Answer {
  results: { index: number; relevance_score: number; document?: object }[];
  usage: { prompt_tokens: number; total_tokens: number };
}

describe('POST /v1/rerank', () => {
  let served: ServedModels;
  beforeAll(async () => {
    served = await serveModels(['reranker', 'classifier', 'encoder-tiny']);
  });
  afterAll(() => served.close());

  const post = async (body: object, endpoint = RERANK): Promise<unknown> =>
    (await runPrepared(served.backend, await prepare(endpoint, body, null, served.catalog, limits), null)).body;
  const QUERY = 'Who is born free?';
  const DOCUMENTS = ['All human beings are born free.', 'Berlin', 'x y z', 'All human beings are born free.'];
  const rerank = async (body: object): Promise<Answer> =>
    (await post({ model: 'reranker', query: QUERY, documents: DOCUMENTS, ...body })) as Answer;
  const pairScores = async (documents: string[]): Promise<number[]> => {
    const answer = await post({ instances: documents.map((text_pair) => ({ text: QUERY, text_pair })) }, PREDICT);
    return (answer as { predictions: { score: number }[] }).predictions.map(({ score }) => score);
  };

  it.each(['/v1/rerank', '/v2/rerank', '/rerank'])('%s gives the score of each pair, best first, equal ones in order', async (path) => {
    expect(parseEndpoint(path)).toEqual(RERANK);
    const scores = await pairScores(DOCUMENTS);
    const { results } = await rerank({});
    expect(results).toEqual(
      scores
        .map((relevance_score, index) => ({ index, relevance_score }))
        .sort((a, b) => b.relevance_score - a.relevance_score || a.index - b.index),
    );
    expect(scores[0]).toBe(scores[3]);
    expect(results.findIndex(({ index }) => index === 0)).toBe(results.findIndex(({ index }) => index === 3) - 1);
    expect(new Set(scores).size).toBe(3);
  });

  it('ranks by the logit, where scores are rounded to the same number', async () => {
    const documents = ['a', 'b', 'c', 'd'];
    const prepared = await prepare(RERANK, { model: 'reranker', query: 'q', documents }, null, served.catalog, limits);
    const { body } = await prepared.respond([40, 60, -800, -750].map(ofLogit));
    expect((body as Answer).results.map(({ index, relevance_score }) => [index, relevance_score])).toEqual([
      [1, 1],
      [0, 1],
      [3, 0],
      [2, 0],
    ]);
  });

  it('gives equal documents one score and keeps their order, whatever the last digits of a run are', async () => {
    const documents = ['x', 'b', 'x ', 'a', 'b'];
    const prepared = await prepare(RERANK, { model: 'reranker', query: 'q', documents }, null, served.catalog, { ...limits, itemsMax: 5 });
    expect(prepared.items).toHaveLength(3);
    const { body } = await prepared.respond([1, 2, 2 + 1e-6].map(ofLogit));
    const { results, usage } = body as Answer;
    expect(results.map(({ index }) => index)).toEqual([3, 1, 4, 0, 2]);
    expect(results[1]?.relevance_score).toBe(results[2]?.relevance_score);
    expect(results[3]?.relevance_score).toBe(results[4]?.relevance_score);
    expect(usage.total_tokens).toBe(prepared.tokenCount);
  });

  it('refuses to rank by one of several logits', async () => {
    const prepared = await prepare(RERANK, { model: 'reranker', query: 'q', documents: ['a'] }, null, served.catalog, limits);
    const result = { ...ofLogit(1), outputs: [{ ...LOGITS, shape: [1, 2], data: new Uint8Array(Float32Array.of(1, 2).buffer) }] };
    await expect(async () => prepared.respond([result])).rejects.toMatchObject({
      code: 'inference_failed',
      message: expect.stringMatching(/documents\[0\]: expected 1 logits, .* received 2/) as string,
    });
  });

  it('keeps the best of them, and repeats the documents when asked', async () => {
    const documents = ['x', { text: 'y', id: 7 }];
    const { results } = await rerank({ documents, return_documents: true });
    expect(results.map(({ index, document }) => [index, document])).toEqual(
      expect.arrayContaining([
        [0, { text: 'x' }],
        [1, { text: 'y', id: 7 }],
      ]) as unknown,
    );
    expect((await rerank({ documents, top_n: 1 })).results).toEqual([
      { index: results[0]?.index, relevance_score: results[0]?.relevance_score },
    ]);
    expect((await rerank({ documents, top_n: 9 })).results).toHaveLength(2);
  });

  it('answers in the shapes of Jina, Cohere and TEI', async () => {
    const one = await rerank({ documents: ['x'], query: 'y' });
    const { usage } = one;
    expect(usage.total_tokens).toBeGreaterThan(4);
    expect(one).toMatchObject({
      object: 'list',
      model: 'reranker',
      usage: { prompt_tokens: usage.total_tokens },
      meta: { tokens: { input_tokens: usage.total_tokens } },
    });
    const [{ relevance_score: score } = { relevance_score: NaN }] = one.results;
    expect(await post({ model: 'reranker', query: 'y', texts: ['x'] })).toEqual([{ index: 0, score }]);
    expect(await post({ model: 'reranker', query: 'y', texts: ['x'], return_text: true })).toEqual([{ index: 0, score, text: 'x' }]);
  });

  it('gives the logit for raw_scores', async () => {
    const documents = ['x'];
    const [[sigmoid], [logit]] = [(await rerank({ documents })).results, (await rerank({ documents, raw_scores: true })).results];
    expect(1 / (1 + Math.exp(-(logit?.relevance_score as number)))).toBeCloseTo(sigmoid?.relevance_score as number, 12);
  });

  it('cuts documents to max_tokens_per_doc, whatever the query has', async () => {
    const long = `${'x '.repeat(50)}y`;
    const cut = await rerank({ documents: [long], max_tokens_per_doc: 3 });
    expect(cut.results).toEqual((await rerank({ documents: ['x x x'] })).results);
    expect((await rerank({ documents: [long], max_tokens_per_doc: 51 })).results).toEqual((await rerank({ documents: [long] })).results);
    await expect(rerank({ documents: ['x'], query: 'x '.repeat(600), max_tokens_per_doc: 3 })).rejects.toThrow(
      /documents\[0\]: expected at most 512 tokens but received 604/,
    );
  });

  it('cuts pairs with truncate as :predict does', async () => {
    const long = 'x '.repeat(600);
    const { results } = await rerank({ documents: [long], truncate: true });
    const predicted = await post({ instances: [{ text: QUERY, text_pair: long }], parameters: { truncate: true } }, PREDICT);
    expect((predicted as { predictions: unknown[] }).predictions).toEqual([{ score: results[0]?.relevance_score }]);
  });

  const refusals: [string, object, string, RegExp][] = [
    ['no query', { query: undefined }, 'query', /expected a string/],
    ['no documents', { documents: undefined }, 'documents', /expected an array for documents but received nothing/],
    ['an empty list', { documents: [] }, 'documents', /at least one/],
    ['too many documents', { documents: ['a', 'b', 'c', 'd', 'e'] }, 'documents', /at most 4/],
    ['a document that is a number', { documents: ['a', 1] }, 'documents[1]', /a string or an object with "text" for documents\[1\]/],
    ['a document without text', { documents: [{ title: 'a' }] }, 'documents[0].text', /expected a string/],
    ['an image as query', { query: { text: 'a', image: 'x' } }, 'query.image', /received an image/],
    ['an image', { documents: [{ text: 'a', image: 'x' }] }, 'documents[0].image', /received an image/],
    ['other fields to rank', { rank_fields: ['title'] }, 'rank_fields', /only the text/],
    ['top_n of zero', { top_n: 0 }, 'top_n', /from 1 to/],
    ['a field that is not known', { return_embeddings: true }, 'return_embeddings', /received "return_embeddings"/],
    ['a field of the other shape', { return_text: true }, 'return_text', /expected only/],
    ['both shapes', { texts: ['a'] }, 'texts', /expected only/],
    [
      'documents that are cut and not',
      { truncate: 'none', max_tokens_per_doc: 3 },
      'truncate',
      /truncate says no and max_tokens_per_doc says yes; leave out one/,
    ],
    ['a document that is too long', { documents: ['a', 'x '.repeat(600)] }, 'documents[1]', /documents\[1\]: expected at most 512 tokens/],
    ['half of a pair of surrogates', { documents: ['\ud800'] }, 'documents[0]', /lone surrogate/],
    ['an embedding model', { model: 'encoder-tiny' }, 'model', /does embedding; use POST \/v1\/embeddings/],
    ['a classifier', { model: 'classifier' }, 'model', /does sequence-classification; use POST \/v1\/classify/],
    [
      'a query that is long beside many documents',
      { query: 'x'.repeat(400_000), documents: ['a', 'b', 'c'] },
      'query',
      /at most 1048576 characters of query, .* but received 400000 × 3/,
    ],
  ];
  it.each(refusals)('refuses %s', async (_, change, param, message) => {
    await expect(rerank(change)).rejects.toMatchObject({
      code: 'invalid_request',
      param,
      message: expect.stringMatching(message) as string,
    });
  });
});

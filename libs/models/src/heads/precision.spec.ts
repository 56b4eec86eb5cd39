import type { Datatype, ItemResult, ModelSignature } from '@app/contracts';
import type { TextManifest } from '../manifest';
import { plainPipeline } from '../sentence/modules';
import { PLAIN_SPLADE } from '../sentence/splade';
import { bestFirst, classificationHead, scoringHead, tokenClassificationHead } from './classification';
import { embeddingHead } from './embedding';
import type { RowContext } from './head';
import { multiVectorHead } from './multi-vector';
import { sparseHead } from './sparse';

const ROW: RowContext = { tokenCount: 1, rowLength: 1, spans: null, ids: [7], topK: null, rawScores: false, promptTokens: 0 };
const RAW = { ...ROW, rawScores: true };
const manifest = (more: Partial<TextManifest> = {}): TextManifest => ({
  tokenizerPath: '',
  maxTokens: 8,
  padTokenId: 0,
  tokenIds: false,
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
  ...more,
});
const signature = (name: string, shape: number[], datatype: Datatype = 'FP64'): ModelSignature => ({
  coalesce: 'alone',
  coalesceReason: null,
  inputs: [],
  outputs: [{ name, datatype, shape, axes: [] }],
});
const result = (name: string, shape: number[], values: number[], datatype: Datatype = 'FP64'): ItemResult => ({
  outputs: [
    { name, datatype, shape, data: new Uint8Array((datatype === 'FP64' ? Float64Array : Float32Array).from(values).buffer as ArrayBuffer) },
  ],
  timing: { queueUs: 0, runUs: 0, runRows: 1, startedNs: 0 },
});

/** Equal as float32. */
const CLOSE = [1, 1 + 2 ** -40] as const;

describe('numbers of a graph that gives doubles', () => {
  it('texts are scored and ranked by all digits of their logit', () => {
    const head = scoringHead(signature('logits', [-1, 1]), manifest());
    const [a, b] = CLOSE.map((logit) => head.decodeScores(result('logits', [1, 1], [logit]), RAW)[0]);
    expect([a?.score, b?.score]).toEqual(CLOSE);
    expect([a?.logit, b?.logit]).toEqual(CLOSE);
    const [exact] = head.decodeScores(result('logits', [1, 1], [0.1]), ROW);
    expect(exact?.score).toBe(1 / (1 + Math.exp(-0.1)));
  });

  it('classes are scored and ranked by all digits of their logit', () => {
    const head = classificationHead(signature('logits', [-1, 2]), manifest());
    const scored = head.decodeScores(result('logits', [1, 2], [...CLOSE]), ROW);
    expect(bestFirst(scored, 1)[0]?.label).toBe('LABEL_1');
    expect((scored[1]?.score as number) - (scored[0]?.score as number)).toBeCloseTo(2 ** -41, 16);
  });

  it('vectors past the range of float32 fail the input', () => {
    const huge = [1e300, 1];
    const decoders = [
      () => embeddingHead(signature('sentence_embedding', [-1, 2]), manifest()).decode(result('sentence_embedding', [1, 2], huge), ROW),
      () =>
        embeddingHead(signature('last_hidden_state', [-1, -1, 2]), manifest()).decode(result('last_hidden_state', [1, 1, 2], huge), ROW),
      () => sparseHead(signature('sparse_embedding', [-1, 2]), manifest()).decode(result('sparse_embedding', [1, 2], huge), ROW),
      () => multiVectorHead(signature('v', [-1, -1, 2]), manifest({ embeddingOutput: 'v' })).decode(result('v', [1, 1, 2], huge), ROW),
    ];
    for (const decode of decoders) expect(decode).toThrow(/expected finite numbers/);
  });

  it('the weights of a sparse vector are rounded once', () => {
    const head = sparseHead(signature('logits', [-1, -1, 2]), manifest());
    expect(head.decode(result('logits', [1, 1, 2], [1e300, 0.1]), ROW)).toEqual({
      indices: [0, 1],
      values: Float32Array.of(Math.log1p(1e300), Math.log1p(0.1)),
    });
  });
});

it.each(['FP32', 'FP64'] as const)(
  'the label of a token is that of the largest logit, where scores are rounded to the same: %s',
  (datatype) => {
    const head = tokenClassificationHead(signature('logits', [-1, -1, 2], datatype), manifest({ labels: ['O', 'PER'] }), () => 'x');
    const answer = head.decode(result('logits', [1, 1, 2], [1e-30, 2e-30], datatype), ROW);
    expect(answer).toMatchObject([{ entity: 'PER', score: 0.5, index: 0 }]);
  },
);

describe('a graph that does not tell the last size of its output', () => {
  it('gives no weights by word where it has one for each token', () => {
    const head = sparseHead(signature('w', [-1, -1, -1], 'FP32'), manifest({ embeddingOutput: 'w' }));
    expect(() => head.decode(result('w', [1, 1, 1], [0.5], 'FP32'), ROW)).toThrow(/weight for each word .* "w" has one for each token/);
  });

  it('has no labels of tokens where there are more logits than labels', () => {
    const head = tokenClassificationHead(signature('logits', [-1, -1, -1], 'FP32'), manifest({ labels: ['O', 'PER'] }), () => 'x');
    expect(() => head.decode(result('logits', [1, 1, 3], [1, 2, 3], 'FP32'), ROW)).toThrow(/expected 2 logits.* received 3/);
  });
});

import type { Datatype, Task } from '@app/contracts';
import type { ServedModel } from '@app/models';
import { agreementOf, compareAnswers } from './agreement';

const model = (task: Task, datatypes: Datatype[] = ['FP32'], labels: string[] | null = null): ServedModel => ({
  name: 'm',
  version: '1',
  revision: 1,
  task,
  signature: {
    inputs: [],
    outputs: datatypes.map((datatype, i) => ({ name: `y${i}`, datatype, shape: [-1, 2], axes: ['batch', 'fixed'] })),
    coalesce: 'padded',
    coalesceReason: null,
  },
  text: null,
  tensorsBecause: null,
  labels,
  timeoutMs: null,
  deduplicate: true,
  isGraph: false,
  remoteFiles: null,
});

const scored = (...scores: [string, number][]): object[] => scores.map(([label, score]) => ({ label, score }));

describe('agreement of answers', () => {
  it('of vectors is their angle', () => {
    expect(compareAnswers(model('embedding'), [1, 0], [1, 0])).toEqual({ cosine: 1, isFlipped: false, difference: 0 });
    expect(compareAnswers(model('embedding'), [1, 0], [1, 1])).toEqual({
      cosine: expect.closeTo(Math.SQRT1_2),
      isFlipped: false,
      difference: 1,
    });
    expect(compareAnswers(model('embedding'), [1, 0], [1, 0, 0])).toEqual({ cosine: null, isFlipped: true, difference: Infinity });
    expect(compareAnswers(model('embedding'), [0, 0], [0, 0]).cosine).toBe(1);
    expect(compareAnswers(model('embedding'), [0, 0], [0, 1]).cosine).toBe(0);
  });

  it('of sparse vectors goes by index', () => {
    const sparse = (...indices: number[]): object => ({ indices, values: indices.map(() => 1) });
    expect(compareAnswers(model('sparse'), sparse(1, 2), sparse(2, 3)).cosine).toBeCloseTo(0.5);
  });

  it('of labels is that of the best one', () => {
    const classify = model('sequence-classification');
    expect(compareAnswers(classify, scored(['a', 0.6], ['b', 0.4]), scored(['a', 0.5], ['b', 0.5]))).toEqual({
      cosine: null,
      isFlipped: false,
      difference: expect.closeTo(0.1),
    });
    expect(compareAnswers(classify, scored(['a', 0.6], ['b', 0.4]), scored(['b', 0.6], ['a', 0.4])).isFlipped).toBe(true);
  });

  it('of entities is that of all of them', () => {
    const entity = (name: string): object => ({ entity: name, score: 0.9, index: 1, word: 'x', start: 0, end: 1 });
    expect(compareAnswers(model('token-classification'), [entity('A')], [entity('A')])).toEqual({
      cosine: null,
      isFlipped: false,
      difference: 0,
    });
    expect(compareAnswers(model('token-classification'), [entity('A')], [entity('B')]).isFlipped).toBe(true);
    expect(compareAnswers(model('token-classification'), [entity('A')], []).isFlipped).toBe(true);
  });

  it('of tensors: integers and texts exactly, classes by the largest, the worst output counts', () => {
    expect(compareAnswers(model('tensor', ['INT64']), [3, 1], [3, 2]).isFlipped).toBe(true);
    expect(compareAnswers(model('tensor', ['INT64']), [3n, 1], [3n, 1]).isFlipped).toBe(false);
    expect(compareAnswers(model('tensor', ['FP32'], ['a', 'b']), [1, 0.99], [0.99, 1]).isFlipped).toBe(true);
    expect(compareAnswers(model('tensor'), [1, 0.99], [0.99, 1]).isFlipped).toBe(false);
    expect(compareAnswers(model('tensor', ['FP32', 'FP32']), { y0: [1, 0], y1: [1, 0] }, { y0: [1, 0], y1: [0, 1] }).cosine).toBe(0);
  });

  it('counts rows that failed, and says where only scores can be compared', () => {
    expect(
      agreementOf(model('embedding'), [
        [
          [1, 0],
          [1, 0],
        ],
        [[1, 0], null],
      ]),
    ).toMatchObject({ rows: 2, failed: 1, flips: 1, cosineMin: 1, isOfScores: false });
    expect(agreementOf(model('text-pair-scoring'), [[{ score: 0.2 }, { score: 0.3 }]])).toMatchObject({
      isOfScores: true,
      cosineMin: null,
      differenceMax: expect.closeTo(0.1),
    });
    expect(agreementOf(model('sequence-classification'), [[scored(['a', 1]), scored(['a', 1])]]).isOfScores).toBe(false);
    expect(agreementOf(model('tensor', ['INT64']), [[1, 1]]).isOfScores).toBe(false);
  });
});

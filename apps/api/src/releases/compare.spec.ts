import { numberToBfloat16, numberToFloat16, type Datatype, type Tensor } from '@app/contracts';
import { answerRows } from './answer-rows';
import { compareAnswers, compareRows } from './compare-answers';
import { combine, compareElements, compareVectors, cosineOf, differenceOf, INCOMPARABLE, row } from './compare-numbers';
import { compareTensors } from './compare-tensors';

const angle = (radians: number): [number, number] => [Math.cos(radians), Math.sin(radians)];

describe('vectors', () => {
  it('have a cosine in double precision: 1 of equal ones, whatever their numbers are', () => {
    expect(cosineOf([0.1, 0.2, 0.3], [0.1, 0.2, 0.3])).toBe(1);
    expect(cosineOf([1, 0], [0, 1])).toBe(0);
    expect(cosineOf([1, 2], [-1, -2])).toBe(-1);
    expect(cosineOf([1e300, 1e300], [1e300, 1e300])).toBe(1);
    expect(cosineOf([1e-300, 2e-300], [1e-300, 2e-300])).toBe(1);
    expect(cosineOf([3, 4], [4, 3])).toBeCloseTo(24 / 25, 15);
    const tiny = 1e-6; // cos(tiny) in single precision is 1
    expect(cosineOf(angle(0), angle(tiny))).toBeCloseTo(1 - tiny ** 2 / 2, 15);
    expect(cosineOf(angle(0), angle(tiny))).toBeLessThan(1);
  });

  it('agree from a cosine of 0.999 on', () => {
    const at = (cosine: number) => compareVectors(angle(0), angle(Math.acos(cosine)));
    expect(at(0.9991)).toMatchObject({ agrees: true, isComparable: true, flips: 0 });
    expect(at(0.9989)).toMatchObject({ agrees: false, isComparable: true });
    expect(at(0.9989).cosine).toBeCloseTo(0.9989, 12);
  });

  it('of zeros are like each other and like no other', () => {
    expect(compareVectors([0, 0], [0, -0])).toEqual(row({ agrees: true, cosine: 1, difference: 0 }));
    expect(compareVectors([0, 0], [0, 1])).toEqual(row({ agrees: false, cosine: 0, difference: 1 }));
    expect(compareVectors([], [])).toEqual(row({ agrees: true, cosine: 1, difference: 0 }));
  });

  it('of different widths cannot be compared', () => {
    expect(compareVectors([1, 2], [1, 2, 3])).toBe(INCOMPARABLE);
    expect(compareAnswers('embedding', [1, 2], { indices: [], values: [] })).toBe(INCOMPARABLE);
  });

  it('with NaN agree only where the other has it as well', () => {
    expect(compareVectors([NaN, 1], [NaN, 1])).toEqual(row({ agrees: true, difference: 0 }));
    expect(compareVectors([NaN, 1], [1, 1])).toEqual(row({ agrees: false, difference: Infinity }));
    expect(compareVectors([Infinity, 1], [-Infinity, 1])).toMatchObject({ agrees: false, difference: Infinity });
  });

  it('of tokens: the worst counts, and their number must be the same', () => {
    const own = [angle(0), angle(1)];
    expect(compareAnswers('multi-vector', own, [angle(0), angle(1.2)])).toMatchObject({
      agrees: false,
      cosine: expect.closeTo(Math.cos(0.2)),
    });
    expect(compareAnswers('multi-vector', own, own)).toMatchObject({ agrees: true, cosine: 1, difference: 0 });
    expect(compareAnswers('multi-vector', own, [angle(0)])).toBe(INCOMPARABLE);
  });

  it('that are sparse have 0 where they have no weight', () => {
    const own = { indices: [1, 5], values: [3, 4] };
    expect(compareAnswers('sparse', own, { indices: [5, 1], values: [4, 3] })).toMatchObject({ agrees: true, cosine: 1, difference: 0 });
    expect(compareAnswers('sparse', own, { indices: [1], values: [3] })).toMatchObject({ agrees: false, cosine: 0.6, difference: 4 });
    expect(compareAnswers('sparse', { indices: [], values: [] }, { indices: [], values: [] })).toMatchObject({ agrees: true, cosine: 1 });
    expect(compareAnswers('sparse', own, { indices: [1], values: [] })).toBe(INCOMPARABLE);
  });
});

describe('labels', () => {
  const scored = (...labels: [string, number][]) => labels.map(([label, score]) => ({ label, score }));
  it('agree when the best one is the same', () => {
    const own = scored(['cat', 0.7], ['dog', 0.3]);
    expect(compareAnswers('sequence-classification', own, scored(['cat', 0.6], ['dog', 0.4]))).toEqual(
      row({ agrees: true, difference: expect.closeTo(0.1) as number }),
    );
    expect(compareAnswers('sequence-classification', own, scored(['dog', 0.6], ['cat', 0.4]))).toEqual(
      row({ agrees: false, flips: 1, difference: expect.closeTo(0.3) as number }),
    );
    expect(compareAnswers('sequence-classification', own, scored(['bird', 1]))).toEqual(row({ agrees: false, flips: 1, difference: null }));
    expect(compareAnswers('sequence-classification', own, [])).toBe(INCOMPARABLE);
    expect(compareAnswers('sequence-classification', own, [1, 2])).toBe(INCOMPARABLE);
  });

  it('of tokens agree when all entities are the same, by place and label', () => {
    const entity = (index: number, label: string, score = 0.9) => ({ entity: label, index, score, word: 'x', start: 0, end: 1 });
    const own = [entity(1, 'PER'), entity(4, 'LOC')];
    expect(compareAnswers('token-classification', own, [entity(4, 'LOC'), entity(1, 'PER', 0.8)])).toEqual(
      row({ agrees: true, difference: expect.closeTo(0.1) as number }),
    );
    expect(compareAnswers('token-classification', own, [entity(1, 'ORG'), entity(4, 'LOC')])).toMatchObject({ agrees: false, flips: 2 });
    expect(compareAnswers('token-classification', own, [entity(1, 'PER')])).toMatchObject({ agrees: false, flips: 1 });
    expect(compareAnswers('token-classification', [], [])).toEqual(row({ agrees: true }));
  });

  it('scores of pairs agree within a thousandth', () => {
    const pair = (own: number, other: number) => compareAnswers('text-pair-scoring', { score: own }, { score: other });
    expect(pair(0.5, 0.5009)).toMatchObject({ agrees: true, difference: expect.closeTo(0.0009) });
    expect(pair(0.5, 0.5011)).toMatchObject({ agrees: false });
    expect(pair(-8, -8.007)).toMatchObject({ agrees: true });
    expect(pair(-8, -8.009)).toMatchObject({ agrees: false });
    expect(compareAnswers('text-pair-scoring', { score: 1 }, null)).toBe(INCOMPARABLE);
  });

  it('documents that only one version has among the best differ', () => {
    const one = { score: 1 };
    expect(compareRows('text-pair-scoring', [one, undefined, undefined], [one, one])).toEqual([
      row({ agrees: true, difference: 0 }),
      row({ agrees: false, flips: 1 }),
    ]);
  });
});

describe('numbers', () => {
  it('agree within a thousandth of the stable one, and near zero within a part of the largest', () => {
    const agrees = (stable: number[], tested: number[]): boolean => compareElements(stable, tested).agrees;
    expect(agrees([1000, 1], [1000.9, 1.0009])).toBe(true);
    expect(agrees([1000, 1], [1001.1, 1])).toBe(false);
    expect(agrees([1000, 1], [1000, 1.02])).toBe(false);
    expect(agrees([1, 0], [1, 9e-6])).toBe(true);
    expect(agrees([1, 0], [1, 1.1e-5])).toBe(false);
    expect(agrees([0], [1e-30])).toBe(false);
    expect(agrees([0], [-0])).toBe(true);
  });

  it('that are NaN or infinite agree only with the same', () => {
    expect(compareElements([NaN, Infinity, -Infinity], [NaN, Infinity, -Infinity])).toEqual(row({ agrees: true, difference: 0 }));
    expect(compareElements([NaN], [0])).toEqual(row({ agrees: false, difference: Infinity }));
    expect(compareElements([0], [NaN])).toEqual(row({ agrees: false, difference: Infinity }));
    expect(compareElements([Infinity], [1e308]).agrees).toBe(false);
    expect(compareElements([Infinity], [-Infinity]).agrees).toBe(false);
    expect(differenceOf([1, 2], [1, 2])).toBe(0);
  });

  it('of several outputs agree when all do', () => {
    const good = row({ agrees: true, cosine: 0.9995, difference: 1 });
    expect(combine([good, row({ agrees: false, flips: 2, difference: 3 })])).toEqual(
      row({ agrees: false, cosine: 0.9995, difference: 3, flips: 2 }),
    );
    expect(combine([good, INCOMPARABLE])).toBe(INCOMPARABLE);
  });
});

describe('tensors', () => {
  const bytes = (array: ArrayBufferView): Uint8Array => new Uint8Array(array.buffer, array.byteOffset, array.byteLength);
  const tensor = (shape: number[], data: ArrayBufferView, datatype: Datatype = 'FP32', name = 'y'): Tensor => ({
    name,
    datatype,
    shape,
    data: bytes(data),
  });
  const floats = (shape: number[], ...values: number[]): Tensor => tensor(shape, Float32Array.from(values));

  it('are compared row by row', () => {
    const [same, other] = compareTensors('tensor', [floats([2, 2], 1, 2, 3, 4)], [floats([2, 2], 1, 2, 3, 5)], 2);
    expect(same).toEqual(row({ agrees: true, difference: 0 }));
    expect(other).toEqual(row({ agrees: false, difference: 1 }));
  });

  it('are vectors, or scores of labels, where the task says so', () => {
    const [stable, tested] = [[floats([1, 3], 1, 2, 3)], [floats([1, 3], 2, 4, 6.1)]];
    expect(compareTensors('embedding', stable, tested, 1)).toMatchObject([{ agrees: true, cosine: expect.closeTo(1, 3) }]);
    expect(compareTensors('sequence-classification', stable, tested, 1)).toMatchObject([{ agrees: true, flips: 0 }]);
    expect(compareTensors('tensor', stable, tested, 1)).toMatchObject([{ agrees: false }]);
    const tokens = compareTensors('token-classification', [floats([1, 2, 2], 0, 1, 1, 0)], [floats([1, 2, 2], 1, 0, 1, 0)], 1);
    expect(tokens).toMatchObject([{ agrees: false, flips: 1 }]);
    const nan = compareTensors('sequence-classification', [floats([1, 2], NaN, 1)], [floats([1, 2], 2, 1)], 1);
    expect(nan).toMatchObject([{ agrees: false, flips: 1, difference: Infinity }]);
  });

  it('of integers must be equal, of 64 bits to the last one', () => {
    const int64 = (...values: bigint[]) => [tensor([values.length], BigInt64Array.from(values), 'INT64')];
    expect(compareTensors('tensor', int64(2n ** 60n, 1n), int64(2n ** 60n + 1n, 1n), 2)).toEqual([
      row({ agrees: false, difference: 1 }),
      row({ agrees: true, difference: 0 }),
    ]);
    const bools = (value: number) => [tensor([1], Uint8Array.of(value), 'BOOL')];
    expect(compareTensors('tensor', bools(1), bools(0), 1)).toEqual([row({ agrees: false, difference: 1 })]);
    const text = (value: string) => [tensor([1], Buffer.from(`\x01\0\0\0${value}`), 'BYTES')];
    expect(compareTensors('tensor', text('a'), text('b'), 1)).toEqual([row({ agrees: false })]);
  });

  it('of half precision are compared by value with those of others', () => {
    const halves = tensor([2], Uint16Array.from([1.5, -2].map(numberToFloat16)), 'FP16');
    const brains = tensor([2], Uint16Array.from([1.5, -2].map(numberToBfloat16)), 'BF16');
    const doubles = tensor([2], Float64Array.of(1.5, -2), 'FP64');
    for (const other of [brains, doubles, floats([2], 1.5, -2)])
      expect(compareTensors('tensor', [halves], [other], 1)).toEqual([row({ agrees: true, difference: 0 })]);
  });

  it('of other names, shapes or kinds cannot be compared', () => {
    const stable = [floats([2, 1], 1, 2)];
    const others = [
      [floats([1, 2], 1, 2)],
      [floats([2], 1, 2)],
      [],
      [{ ...floats([2, 1], 1, 2), name: 'z' }],
      [floats([2, 1], 1, 2), floats([1], 1)],
      [tensor([2, 1], Int32Array.of(1, 2), 'INT32')],
    ];
    for (const other of others) expect(compareTensors('tensor', stable, other, 2)).toEqual([INCOMPARABLE, INCOMPARABLE]);
  });

  it('may lie anywhere in memory', () => {
    const data = Buffer.concat([Buffer.alloc(1), bytes(Float64Array.of(1, 2))]).subarray(1);
    expect(
      compareTensors('tensor', [{ name: 'y', datatype: 'FP64', shape: [2], data }], [tensor([2], Float64Array.of(1, 2), 'FP64')], 1),
    ).toEqual([row({ agrees: true, difference: 0 })]);
  });
});

describe('the rows of an answer', () => {
  const json = (body: object) => ({ kind: 'json', body }) as const;
  it('are those of each endpoint', () => {
    expect(answerRows('predict', json({ predictions: [[1], [2]] }))).toEqual([[1], [2]]);
    const base64 = Buffer.from(Float32Array.of(1.5, 2).buffer).toString('base64');
    expect(answerRows('embeddings', json({ data: [{ embedding: [1] }, { embedding: base64 }] }))).toEqual([[1], [1.5, 2]]);
    expect(answerRows('classify', json({ data: [{ predictions: [{ label: 'a', score: 1 }] }] }))).toEqual([[{ label: 'a', score: 1 }]]);
    expect(answerRows('rerank', json({ results: [{ index: 2, relevance_score: 0.5 }] }))).toEqual([undefined, undefined, { score: 0.5 }]);
    expect(answerRows('rerank', json([{ index: 0, score: 0.5 }]))).toEqual([{ score: 0.5 }]);
    expect(answerRows('infer', json({ outputs: [] }))).toBeNull();
  });
});

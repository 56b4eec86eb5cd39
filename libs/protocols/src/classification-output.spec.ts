import { numberToFloat16, type Datatype, type Tensor } from '@app/contracts';
import type { ServedModel } from '@app/models';
import { serveModels, type ServedModels } from '../../../test/fixtures/served-models';
import { jsonLimits, prepare, runPrepared, splitInferBody, toJsonText, type JsonLimits } from '.';
import { classificationOutput } from './classification-output';
import { readTensor } from './tensor-read';
import { loadConfig } from '@app/config';

const limits = { itemsMax: 4, tensorBytesMax: 4096 };
const bounds: JsonLimits = jsonLimits(loadConfig({}).http);

/** A model with one output `o`. */
const model = (batched: boolean, labels: string[] | null = null): ServedModel =>
  ({
    labels,
    signature: { inputs: [], outputs: [{ name: 'o', shape: batched ? [-1, 3] : [3], axes: batched ? ['batch', 'fixed'] : ['fixed'] }] },
  }) as unknown as ServedModel;
const tensor = (datatype: Datatype, shape: number[], values: ArrayBufferView): Tensor => ({
  name: 'o',
  datatype,
  shape,
  data: new Uint8Array(values.buffer, values.byteOffset, values.byteLength),
});
const classesOf = (output: Tensor, classes: number, served = model(false)): [number[], unknown[]] => {
  const { shape, datatype, data, name } = classificationOutput(output, classes, served);
  expect(datatype).toBe('BYTES');
  return [shape, readTensor({ name, datatype, shape, data })];
};

describe('classificationOutput', () => {
  it('ranks each row by itself, with labels', () => {
    const output = tensor('FP32', [2, 3], Float32Array.of(0.1, 0.9, -2, 3, 3, 5));
    expect(classesOf(output, 2, model(true, ['a', 'b', 'ü']))).toEqual([
      [2, 2],
      ['0.900000:1:b', '0.100000:0:a', '5.000000:2:ü', '3.000000:0:a'],
    ]);
  });

  it('gives all classes where more are asked for, and all numbers of an output without rows as one', () => {
    const output = tensor('INT32', [2, 2], Int32Array.of(4, -1, 7, 0));
    expect(classesOf(output, 9)).toEqual([[4], ['7:2', '4:0', '0:3', '-1:1']]);
    expect(classesOf(tensor('FP32', [0, 3], new Float32Array()), 2, model(true))).toEqual([[0, 2], []]);
  });

  it('gives no labels to an output that has not a number for each of them', () => {
    expect(classesOf(tensor('UINT8', [3], Uint8Array.of(1, 2, 3)), 1, model(false, ['a', 'b']))).toEqual([[1], ['3:2']]);
  });

  it.each([2, 3, 5])('goes by the size that an output of an open size has: %i numbers for 3 labels', (numbers) => {
    const open = model(true, ['a', 'b', 'c']);
    Object.assign(open.signature.outputs[0] ?? {}, { shape: [-1, -1] });
    const [, strings] = classesOf(
      tensor(
        'UINT8',
        [1, numbers],
        Uint8Array.from({ length: numbers }, (_, i) => i),
      ),
      numbers,
      open,
    );
    expect(strings.filter((text) => String(text).split(':').length === 3)).toHaveLength(numbers === 3 ? 3 : 0);
  });

  // What std::to_string of libstdc++ gives for the double.
  it.each([
    [0.9, '0.900000'],
    [0.0078125, '0.007812'],
    [0.0234375, '0.023438'],
    [-0.0078125, '-0.007812'],
    [1e-9, '0.000000'],
    [-1e-9, '-0.000000'],
    [-0, '-0.000000'],
    [123456789.987654321, '123456789.987654'],
    [9007199254740993, '9007199254740992.000000'],
    [1e22, '10000000000000000000000.000000'],
    [3.4028234663852886e38, '340282346638528859811704183484516925440.000000'],
    [Infinity, 'inf'],
    [-Infinity, '-inf'],
  ])('writes %d as C++ does', (value, text) => {
    expect(classesOf(tensor('FP64', [1], Float64Array.of(value)), 1)).toEqual([[1], [`${text}:0`]]);
  });

  it.each<[Datatype, ArrayBufferView, string]>([
    ['UINT64', BigUint64Array.of(18446744073709551615n, 18446744073709551614n), '18446744073709551615:0'],
    ['INT64', BigInt64Array.of(-9007199254740993n, -9007199254740992n), '-9007199254740992:1'],
    ['INT8', Int8Array.of(-128, 127), '127:1'],
    ['UINT16', Uint16Array.of(65535, 1), '65535:0'],
    ['FP16', Uint16Array.of(numberToFloat16(-1.5), numberToFloat16(0.5)), '0.500000:1'],
    ['BF16', Uint16Array.of(0x3fc0, 0x4000), '2.000000:1'],
  ])('ranks %s', (datatype, values, best) => {
    expect(classesOf(tensor(datatype, [2], values), 1)).toEqual([[1], [best]]);
  });

  it('ranks no NaN', () => {
    expect(() => classesOf(tensor('FP32', [2], Float32Array.of(1, NaN)), 1)).toThrow(/"o" contains NaN.*in binary/);
  });

  it('ranks a bounded number', () => {
    const many = tensor('UINT8', [262_145], new Uint8Array(262_145));
    expect(() => classesOf(many, 1)).toThrow(/at most 262144 numbers.*262145/);
  });
});

describe('an infer request for classes', () => {
  let served: ServedModels;
  beforeAll(async () => {
    served = await serveModels(['classifier', 'strings', 'types', 'no-batch']);
  });
  afterAll(() => served.close());

  const infer = async (name: string, request: object) => {
    const { body, binary } = await splitInferBody(Buffer.from(JSON.stringify(request)), null, bounds);
    const prepared = await prepare({ kind: 'open-inference', model: name, version: null }, body, binary, served.catalog, limits);
    return runPrepared(served.backend, prepared, null);
  };
  const ids = { datatype: 'INT64', shape: [2, 3] };
  const INPUTS = [
    { ...ids, name: 'input_ids', data: [2, 9, 3, 2, 8, 3] },
    { ...ids, name: 'attention_mask', data: [1, 1, 1, 1, 1, 1] },
  ];

  it('gets those of the largest logits, in JSON and in binary', async () => {
    const inputs = INPUTS.slice(0, served.catalog.find('classifier', null).signature.inputs.length);
    const tensorAnswer = await infer('classifier', { inputs, outputs: [{ name: 'logits' }] });
    const [logits] = (JSON.parse(toJsonText(tensorAnswer.body)) as { outputs: { shape: number[]; data: number[] }[] }).outputs;
    const width = logits?.shape[1] as number;
    const { labels } = served.catalog.find('classifier', null);
    const expected = [0, 1].flatMap((row) => {
      const numbers = logits?.data.slice(row * width, (row + 1) * width) as number[];
      const best = numbers.indexOf(Math.max(...numbers));
      return [`${numbers[best]?.toFixed(6)}:${best}:${labels?.[best]}`];
    });
    expect(labels).toHaveLength(width);
    const asked = (parameters: object) => infer('classifier', { inputs, outputs: [{ name: 'logits', parameters }] });
    const json = await asked({ classification: 1 });
    expect(json.body).toMatchObject({ outputs: [{ name: 'logits', datatype: 'BYTES', shape: [2, 1], data: expected }] });
    const binary = await asked({ classification: 1, binary_data: true });
    expect(Buffer.from(binary.body as Uint8Array).toString()).toContain(expected[1]);
    expect((await asked({ classification: 0 })).body).toEqual(tensorAnswer.body);
  });

  it.each([
    [-1, /integer from 0/],
    [1.5, /integer from 0/],
    ['2', /integer from 0/],
    [true, /integer from 0/],
  ])('refuses the count %j', async (classification, message) => {
    const outputs = [{ name: 'sum', parameters: { classification } }];
    const x = { name: 'x', shape: [2, 3], datatype: 'FP32', data: [1, 2, 3, 4, 5, 6] };
    const y = { name: 'y', shape: [3], datatype: 'FP32', data: [10, 20, 30] };
    await expect(infer('no-batch', { inputs: [x, y], outputs })).rejects.toThrow(message);
  });

  it.each(['strings', 'types'])('refuses outputs of %s that are no numbers', async (name) => {
    const { signature } = served.catalog.find(name, null);
    const output = signature.outputs.find(({ datatype }) => datatype === 'BYTES' || datatype === 'BOOL');
    expect(output).toBeDefined();
    const outputs = [{ name: output?.name, parameters: { classification: 1 } }];
    await expect(infer(name, { inputs: [], outputs })).rejects.toThrow(/not numbers; leave it out/);
  });
});

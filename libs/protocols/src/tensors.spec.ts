import * as fc from 'fast-check';
import {
  bfloat16ToNumber,
  DATATYPES,
  float16ToNumber,
  numberToBfloat16,
  numberToFloat16,
  type Datatype,
  type Tensor,
} from '@app/contracts';
import { loadConfig } from '@app/config';
import { jsonLimits, parseJsonBody, toJsonText } from '.';
import { nest, readTensor, tensorToJson } from './tensor-read';
import { writeTensor } from './tensor-write';

type Element = number | boolean | string | bigint;

const jsonBounds = jsonLimits(loadConfig({}).http);
const int32 = fc.integer();
/** Integers of every magnitude; number up to 2^53 as `parseJsonBody` gives them. */
const wide = (min: bigint, max: bigint): fc.Arbitrary<Element> =>
  fc
    .tuple(fc.bigInt({ min, max }), fc.bigInt({ min: 0n, max: 63n }))
    .map(([value, shift]) => value >> shift)
    .map((value) => (Number.isSafeInteger(Number(value)) ? Number(value) : value));
const bits16 = (toNumber: (bits: number) => number): fc.Arbitrary<number> =>
  fc.integer({ min: 0, max: 65_535 }).map(toNumber).filter(Number.isFinite);

const ELEMENTS: Record<Datatype, fc.Arbitrary<Element>> = {
  BOOL: fc.boolean(),
  UINT8: fc.integer({ min: 0, max: 255 }),
  UINT16: fc.integer({ min: 0, max: 65_535 }),
  UINT32: int32.map((value) => value >>> 0),
  UINT64: fc.oneof(wide(0n, 2n ** 64n - 1n), fc.constantFrom(2n ** 63n, 2n ** 64n - 1n, 2n ** 53n, 2n ** 53n + 1n)),
  INT8: fc.integer({ min: -128, max: 127 }),
  INT16: fc.integer({ min: -32_768, max: 32_767 }),
  INT32: int32,
  INT64: fc.oneof(wide(-(2n ** 63n), 2n ** 63n - 1n), fc.constantFrom(-(2n ** 63n), 2n ** 63n - 1n, -(2n ** 60n), 0, -1)),
  FP16: bits16(float16ToNumber),
  BF16: bits16(bfloat16ToNumber),
  FP32: fc.float({ noNaN: true, noDefaultInfinity: true }),
  FP64: fc.double({ noNaN: true, noDefaultInfinity: true }),
  BYTES: fc.string({ unit: 'grapheme' }),
};
const TYPES = Object.keys(ELEMENTS) as (keyof typeof ELEMENTS)[];
const shapes = fc.array(fc.integer({ min: 0, max: 4 }), { minLength: 1, maxLength: 4 });
const size = (shape: number[]): number => shape.reduce((product, dim) => product * dim, 1);
const tensor = (datatype: Datatype, shape: number[], data: Uint8Array): Tensor => ({ name: 't', datatype, shape, data });

/** As a client writes it: integers digit by digit, the sign of a zero kept. */
const elementText = (element: Element): string => {
  if (typeof element === 'bigint') return String(element);
  return Object.is(element, -0) ? '-0.0' : JSON.stringify(element);
};
const nestedText = (texts: string[], [size = 1, ...rest]: number[]): string => {
  if (rest.length === 0) return `[${texts.join(',')}]`;
  const part = texts.length / (size || 1);
  return `[${Array.from({ length: size }, (_, i) => nestedText(texts.slice(i * part, (i + 1) * part), rest)).join(',')}]`;
};
const parse = (text: string): unknown => parseJsonBody(Buffer.from(text), jsonBounds);

describe('tensors in JSON', () => {
  it.each(TYPES)('%s comes back from bytes as it was written, flat or nested', (datatype) => {
    const filled = shapes.chain((shape) =>
      fc.tuple(fc.constant(shape), fc.array(ELEMENTS[datatype], { minLength: size(shape), maxLength: size(shape) })),
    );
    fc.assert(
      fc.property(filled, ([shape, elements]) => {
        const flat = `[${elements.map(elementText).join(',')}]`;
        const nested = nestedText(elements.map(elementText), shape);
        const bytes = writeTensor(parse(flat), datatype, shape, 'data');
        expect(writeTensor(parse(nested), datatype, shape, 'data')).toEqual(bytes);
        const read = readTensor(tensor(datatype, shape, bytes));
        expect(parse(toJsonText(read))).toEqual(parse(flat));
        expect(parse(toJsonText(nest(read, shape)))).toEqual(parse(nested));
        expect(JSON.parse(toJsonText({ data: tensorToJson(tensor(datatype, shape, bytes)) }))).toEqual({
          data: JSON.parse(flat) as unknown,
        });
        if (DATATYPES[datatype].bytes !== null) expect(bytes.byteLength).toBe(size(shape) * (DATATYPES[datatype].bytes as number));
      }),
    );
  });

  it('reads tensors at any address', () => {
    const memory = new Uint8Array(9);
    const bytes = memory.subarray(1);
    bytes.set(writeTensor([-2], 'INT64', [1], 'data'));
    expect(readTensor(tensor('INT64', [1], bytes))).toEqual([-2]);
  });

  it('writes int64 as two halves, little-endian', () => {
    expect([...writeTensor([-2, 2 ** 40 + 5], 'INT64', [2], 'data')]).toEqual([
      254, 255, 255, 255, 255, 255, 255, 255, 5, 0, 0, 0, 0, 1, 0, 0,
    ]);
  });

  const refusals: [Datatype, unknown, number[], RegExp][] = [
    ['BOOL', [1], [1], /true or false for element 0 of data but received 1/],
    ['UINT8', [256], [1], /integer from 0 to 255 .* 256/],
    ['UINT8', [-1], [1], /received -1/],
    ['UINT8', [1.5], [1], /received 1\.5/],
    ['UINT8', ['1'], [1], /received the string "1"/],
    ['UINT8', [null], [1], /received null/],
    ['INT8', [128], [1], /from -128 to 127/],
    ['INT16', [-32_769], [1], /received -32769/],
    ['UINT16', [65_536], [1], /received 65536/],
    ['INT32', [2 ** 31], [1], /received 2147483648/],
    ['UINT32', [2 ** 32], [1], /received 4294967296/],
    ['INT32', [2n ** 63n], [1], /received 9223372036854775808/],
    [
      'INT64',
      [2n ** 63n],
      [1],
      /an integer from -9223372036854775808 to 9223372036854775807, .* element 0 of data but received 9223372036854775808/,
    ],
    ['INT64', [0, -(2n ** 63n) - 1n], [2], /element 1 of data but received -9223372036854775809/],
    ['INT64', [1.5], [1], /without fraction .* received 1\.5/],
    ['INT64', [2 ** 53], [1], /without fraction or exponent, for element 0 of data/],
    ['INT64', ['1'], [1], /received the string "1"/],
    ['UINT64', [2n ** 64n], [1], /from 0 to 18446744073709551615, .* received 18446744073709551616/],
    ['UINT64', [-1], [1], /from 0 .* received -1/],
    ['FP32', [1e39], [1], /number that FP32 holds/],
    ['FP64', [Infinity], [1], /number that FP64 holds/],
    ['FP32', [true], [1], /a number for element 0 of data but received true/],
    ['FP32', [10n ** 19n, -(2n ** 200n)], [2], /FP32 holds for element 1/],
    ['FP16', [65_519, 65_520], [2], /number that FP16 holds for element 1 of data but received 65520/],
    ['FP16', [-1e300], [1], /number that FP16 holds/],
    ['FP16', [true], [1], /a number for element 0 of data but received true/],
    ['BF16', [3.4e38], [1], /number that BF16 holds/],
    ['BF16', ['1'], [1], /received the string "1"/],
    ['BF16', [null], [1], /received null/],
    ['FP32', [[]], [0, 4], /expected 0 elements/],
    ['FP32', [1], [0, 4], /expected 0 elements/],
    ['BYTES', [7], [1], /a string of whole characters/],
    ['BYTES', ['\ud800'], [1], /a string of whole characters/],
    ['FP32', 5, [1], /an array for data but received 5/],
    ['FP32', [1, 2, 3], [2, 2], /expected 4 elements, as the shape \[2, 2\] has, for data but received 3/],
    ['FP32', [[1, 2], [3]], [2, 2], /expected 2 elements, .* for data\[1\] but received an array of 1/],
    ['FP32', [[1, 2], 3], [2, 2], /for data\[1\] but received 3/],
    ['FP32', [[1, 2, 3, 4]], [2, 2], /expected 2 elements, .* for data but received an array of 1/],
    ['FP32', [[[1]]], [1, 1], /received an array of 1/],
  ];
  it.each(refusals)('refuses %s %j for the shape %j', (datatype, data, shape, message) => {
    expect(() => writeTensor(data, datatype, shape, 'data')).toThrow(message);
  });

  it.each([
    ['NaN', tensor('FP32', [1], new Uint8Array(Float32Array.of(NaN).buffer))],
    ['Infinity', tensor('FP64', [1], new Uint8Array(Float64Array.of(Infinity).buffer))],
    ['an infinite half', tensor('FP16', [1], new Uint8Array(Uint16Array.of(0x7c00).buffer))],
    ['an infinite bfloat16', tensor('BF16', [1], new Uint8Array(Uint16Array.of(0xff80).buffer))],
    ['bytes that are no UTF-8', tensor('BYTES', [1], Uint8Array.of(1, 0, 0, 0, 255))],
  ])('does not answer %s in JSON', (_, value) => {
    expect(() => readTensor(value)).toThrow(/which JSON cannot carry; ask for binary output in a live POST/);
  });

  it.each([
    ['FP16', 0x7c00, float16ToNumber, numberToFloat16],
    ['BF16', 0x7f80, bfloat16ToNumber, numberToBfloat16],
  ] as const)('rounds to the nearest %s, ties to even', (_, infinity, toNumber, toBits) => {
    for (let bits = 0; bits < infinity; bits++) {
      const value = toNumber(bits);
      const next = bits + 1 === infinity ? 2 * value - toNumber(bits - 1) : toNumber(bits + 1);
      const middle = (value + next) / 2;
      const even = bits % 2 === 0 ? bits : bits + 1;
      const tiny = middle * 2 ** -40;
      const found = [value, -value, middle, middle - tiny, middle + tiny].map(toBits);
      const expected = [bits, bits | 0x8000, even, bits, bits + 1];
      if (found.some((it, i) => it !== expected[i])) throw new Error(`${value}: ${found.join()} instead of ${expected.join()}`);
    }
    expect(toBits(Infinity)).toBe(infinity);
    expect(toBits(1e300)).toBe(infinity);
    expect(toNumber(toBits(NaN))).toBeNaN();
    expect(toBits(1e-320)).toBe(0);
  });

  it('keeps a byte order mark at the start of a string', () => {
    expect(readTensor(tensor('BYTES', [1], writeTensor(['\ufeffa'], 'BYTES', [1], 'data')))).toEqual(['\ufeffa']);
  });

  it('writes each text in its place, whatever is around it', () => {
    const floats = (...numbers: number[]) =>
      tensorToJson(tensor('FP32', [numbers.length], new Uint8Array(Float32Array.from(numbers).buffer)));
    expect(toJsonText([floats(1, -0), 'a"b', { x: floats(), y: [floats(2.5)] }, null])).toBe(
      '[[1,-0.0],"a\\"b",{"x":[],"y":[[2.5]]},null]',
    );
    expect(() => JSON.stringify(floats(1))).toThrow('expected toJsonText');
  });

  it('writes floats at any address', () => {
    const bytes = new Uint8Array(Float64Array.of(0.1, -2).buffer);
    for (const part of [Uint8Array, Buffer]) {
      const shifted = part.from([7, ...bytes]).subarray(1);
      expect(toJsonText(tensorToJson(tensor('FP64', [2], shifted)))).toBe('[0.1,-2]');
      const floats = toJsonText(tensorToJson(tensor('FP32', [4], shifted)));
      expect(JSON.parse(floats)).toEqual(Array.from(new Float32Array(bytes.buffer)));
    }
  });

  it('writes integers beyond 2^53 with all digits and keeps the sign of zero', () => {
    const wideTensor = tensor('UINT64', [2], new Uint8Array(BigUint64Array.of(2n ** 60n, 2n ** 64n - 1n).buffer));
    expect(toJsonText({ data: readTensor(wideTensor) })).toBe('{"data":[1152921504606846976,18446744073709551615]}');
    expect(toJsonText(readTensor(tensor('FP16', [2], Uint8Array.of(0, 0x80, 0, 0))))).toBe('[-0.0,0]');
  });
});

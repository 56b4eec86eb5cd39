import * as fc from 'fast-check';
import { DATATYPES, numberToFloat16, type Datatype, type Tensor } from '@app/contracts';
import { nest, readTensor } from './tensor-read';
import { writeTensor } from './tensor-write';

type Element = number | boolean | string;

const int32 = fc.integer();
/** Integers of every magnitude that a double and 64 bits hold. */
const wide = (min: bigint, max: bigint): fc.Arbitrary<number> =>
  fc.bigInt({ min, max }).map((value) => Number(BigInt.asIntN(53, value))).filter((value) => BigInt(value) >= min && BigInt(value) <= max);

const ELEMENTS: Record<Exclude<Datatype, 'FP16' | 'BF16'>, fc.Arbitrary<Element>> = {
  BOOL: fc.boolean(),
  UINT8: fc.integer({ min: 0, max: 255 }),
  UINT16: fc.integer({ min: 0, max: 65_535 }),
  UINT32: int32.map((value) => value >>> 0),
  UINT64: fc.oneof(wide(0n, 2n ** 64n - 1n), fc.constantFrom(2 ** 63, 2 ** 64 - 2048)),
  INT8: fc.integer({ min: -128, max: 127 }),
  INT16: fc.integer({ min: -32_768, max: 32_767 }),
  INT32: int32,
  INT64: fc.oneof(wide(-(2n ** 63n), 2n ** 63n - 1n), fc.constantFrom(-(2 ** 63), 2 ** 63 - 1024, 0, -1)),
  FP32: fc.float({ noNaN: true, noDefaultInfinity: true }).filter((value) => !Object.is(value, -0)),
  FP64: fc.double({ noNaN: true, noDefaultInfinity: true }).filter((value) => !Object.is(value, -0)),
  BYTES: fc.string({ unit: 'grapheme' }),
};
const TYPES = Object.keys(ELEMENTS) as (keyof typeof ELEMENTS)[];
const shapes = fc.array(fc.integer({ min: 0, max: 4 }), { minLength: 1, maxLength: 4 });
const size = (shape: number[]): number => shape.reduce((product, dim) => product * dim, 1);
const tensor = (datatype: Datatype, shape: number[], data: Uint8Array): Tensor => ({ name: 't', datatype, shape, data });

describe('tensors in JSON', () => {
  it.each(TYPES)('%s comes back from bytes as it was written, flat or nested', (datatype) => {
    const filled = shapes.chain((shape) => fc.tuple(fc.constant(shape), fc.array(ELEMENTS[datatype], { minLength: size(shape), maxLength: size(shape) })));
    fc.assert(
      fc.property(filled, ([shape, elements]) => {
        const bytes = writeTensor(elements, datatype, shape, 'data');
        expect(readTensor(tensor(datatype, shape, bytes))).toEqual(elements);
        expect(writeTensor(nest(elements, shape), datatype, shape, 'data')).toEqual(bytes);
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
    expect([...writeTensor([-2, 2 ** 40 + 5], 'INT64', [2], 'data')]).toEqual([254, 255, 255, 255, 255, 255, 255, 255, 5, 0, 0, 0, 0, 1, 0, 0]);
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
    ['INT64', [2 ** 63], [1], /integer that INT64 holds/],
    ['UINT64', [2 ** 64], [1], /integer that UINT64 holds/],
    ['UINT64', [-1], [1], /integer that UINT64 holds/],
    ['FP32', [1e39], [1], /number that FP32 holds/],
    ['FP64', [Infinity], [1], /number that FP64 holds/],
    ['FP32', [true], [1], /a number for element 0 of data but received true/],
    ['FP16', [1], [1], /FP16 has no JSON form/],
    ['BF16', [1], [1], /BF16 has no JSON form/],
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
    ['2^53 + 1', tensor('INT64', [1], new Uint8Array(BigInt64Array.of(2n ** 53n + 1n).buffer))],
    ['bytes that are no UTF-8', tensor('BYTES', [1], Uint8Array.of(1, 0, 0, 0, 255))],
  ])('does not answer %s in JSON', (_, value) => {
    expect(() => readTensor(value)).toThrow(/which JSON cannot carry; ask for binary output/);
  });

  it('reads every half precision number as the number that rounds to it', () => {
    for (let bits = 0; bits < 0x7c00; bits++) {
      const [value] = readTensor(tensor('FP16', [1], new Uint8Array(Uint16Array.of(bits).buffer))) as [number];
      if (numberToFloat16(value) !== bits) throw new Error(`${bits} reads as ${value}`);
    }
    expect(numberToFloat16(65_520)).toBe(0x7c00);
    expect(numberToFloat16(1 + 2 ** -11)).toBe(0x3c00);
    expect(numberToFloat16(1 + 3 * 2 ** -11)).toBe(0x3c02);
  });
});

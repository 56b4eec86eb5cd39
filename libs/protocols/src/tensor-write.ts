import { DATATYPES, numberToBfloat16, numberToFloat16, type Datatype } from '@app/contracts';
import { describe, invalid, mismatch } from './checks';

/** Puts one JSON value at element `index`; throws when it is not exactly a value of the type. */
type Put = (value: unknown, index: number) => void;

const LONE_SURROGATE = /\p{Surrogate}/u;
const TWO_32 = 2 ** 32;

const INTEGER_RANGES: Partial<Record<Datatype, readonly [number, number]>> = {
  INT8: [-128, 127],
  INT16: [-32_768, 32_767],
  INT32: [-(2 ** 31), 2 ** 31 - 1],
  UINT8: [0, 255],
  UINT16: [0, 65_535],
  UINT32: [0, TWO_32 - 1],
};
const WIDE_RANGES = {
  INT64: [-(2n ** 63n), 2n ** 63n - 1n],
  UINT64: [0n, 2n ** 64n - 1n],
} as const;
const FLOAT16_INFINITY = 0x7c00;
const BFLOAT16_INFINITY = 0x7f80;

/**
 * Writes JSON tensor data, nested as `shape` says or flat, as the bytes of a tensor (row-major, little-endian).
 * `shape` was checked and has `count` elements. Refuses, with the path: a wrong number of elements, a nested array of
 * another shape, values that the type cannot hold. Numbers are rounded to floating point types (to nearest, ties to
 * even), never to integers; those beyond 2^53 come as bigint (see `parseJsonBody`).
 */
export function writeTensor(data: unknown, datatype: Datatype, shape: readonly number[], path: string): Uint8Array {
  if (!Array.isArray(data)) throw mismatch('an array', path, data);
  const count = shape.reduce((product, size) => product * size, 1);
  if (datatype === 'BYTES') return writeStrings(data, shape, count, path);
  const buffer = new ArrayBuffer(count * DATATYPES[datatype].bytes);
  fill(data, shape, count, path, elementWriter(datatype, buffer, path));
  return new Uint8Array(buffer);
}

/** Puts every element, in row-major order. */
function fill(data: unknown[], shape: readonly number[], count: number, path: string, put: Put): void {
  if (!Array.isArray(data[0]) || shape.length === 0) {
    if (data.length !== count)
      throw invalid(`expected ${count} elements, as the shape [${shape.join(', ')}] has, for ${path} but received ${data.length}`, path);
    for (let i = 0; i < count; i++) put(data[i], i);
    return;
  }
  fillNested(data, shape, 0, 0, path, put);
}

/** Returns the index after the last element that was put. */
function fillNested(data: unknown, shape: readonly number[], axis: number, index: number, path: string, put: Put): number {
  if (!Array.isArray(data) || data.length !== shape[axis]) {
    throw mismatch(`${shape[axis]} elements, as the shape [${shape.join(', ')}] has,`, path, data);
  }
  if (axis === shape.length - 1) {
    for (let i = 0; i < data.length; i++) put(data[i], index + i);
    return index + data.length;
  }
  let next = index;
  for (let i = 0; i < data.length; i++) next = fillNested(data[i], shape, axis + 1, next, `${path}[${i}]`, put);
  return next;
}

function elementWriter(datatype: Exclude<Datatype, 'BYTES'>, buffer: ArrayBuffer, path: string): Put {
  switch (datatype) {
    case 'BOOL':
      return booleans(new Uint8Array(buffer), path);
    case 'INT8':
    case 'UINT8':
      return integers(datatype, new Uint8Array(buffer), path);
    case 'INT16':
    case 'UINT16':
      return integers(datatype, new Uint16Array(buffer), path);
    case 'INT32':
    case 'UINT32':
      return integers(datatype, new Uint32Array(buffer), path);
    case 'INT64':
    case 'UINT64':
      return wideIntegers(datatype, new Int32Array(buffer), path);
    case 'FP32':
      return floats(datatype, new Float32Array(buffer), path);
    case 'FP64':
      return floats(datatype, new Float64Array(buffer), path);
    case 'FP16':
      return halves(datatype, new Uint16Array(buffer), { toBits: numberToFloat16, infinity: FLOAT16_INFINITY }, path);
    case 'BF16':
      return halves(datatype, new Uint16Array(buffer), { toBits: numberToBfloat16, infinity: BFLOAT16_INFINITY }, path);
  }
}

function booleans(elements: Uint8Array, path: string): Put {
  return (value, index) => {
    if (typeof value !== 'boolean') throw badElement('true or false', value, path, index);
    elements[index] = value ? 1 : 0;
  };
}

/** Typed arrays wrap; the range check before makes sure that nothing does, and a negative number gets its two's complement. */
function integers(datatype: Datatype, elements: Uint8Array | Uint16Array | Uint32Array, path: string): Put {
  const [min, max] = INTEGER_RANGES[datatype] as readonly [number, number];
  return (value, index) => {
    if (!Number.isInteger(value) || (value as number) < min || (value as number) > max) {
      throw badElement(`an integer from ${min} to ${max}`, value, path, index);
    }
    elements[index] = value as number;
  };
}

/** Writes 64 bits as two halves. A number beyond 2^53 was written with a fraction or an exponent and may have been rounded. */
function wideIntegers(datatype: 'INT64' | 'UINT64', words: Int32Array, path: string): Put {
  const [min, max] = WIDE_RANGES[datatype];
  return (value, index) => {
    if (typeof value === 'bigint' ? value < min || value > max : !Number.isSafeInteger(value) || (value as number) < min) {
      throw badElement(`an integer from ${min} to ${max}, without fraction or exponent,`, value, path, index);
    }
    if (typeof value === 'bigint') {
      words[2 * index] = Number(BigInt.asIntN(32, value));
      words[2 * index + 1] = Number(BigInt.asIntN(32, value >> 32n));
    } else {
      words[2 * index] = value as number;
      words[2 * index + 1] = Math.floor((value as number) / TWO_32);
    }
  };
}

function floats(datatype: Datatype, elements: Float32Array | Float64Array, path: string): Put {
  return (value, index) => {
    elements[index] = numberOf(value, path, index);
    if (!Number.isFinite(elements[index])) throw badElement(`a number that ${datatype} holds`, value, path, index);
  };
}

function halves(datatype: Datatype, elements: Uint16Array, form: { toBits(value: number): number; infinity: number }, path: string): Put {
  return (value, index) => {
    const bits = form.toBits(numberOf(value, path, index));
    if ((bits & 0x7fff) >= form.infinity) throw badElement(`a number that ${datatype} holds`, value, path, index);
    elements[index] = bits;
  };
}

function numberOf(value: unknown, path: string, index: number): number {
  if (typeof value === 'number') return value;
  if (typeof value === 'bigint') return Number(value);
  throw badElement('a number', value, path, index);
}

/** Each element as a uint32 length followed by its UTF-8 bytes. */
function writeStrings(data: unknown[], shape: readonly number[], count: number, path: string): Uint8Array {
  const parts: Buffer[] = [];
  fill(data, shape, count, path, (value, index) => {
    if (typeof value !== 'string' || LONE_SURROGATE.test(value)) throw badElement('a string of whole characters', value, path, index);
    const bytes = Buffer.from(value);
    const length = Buffer.alloc(4);
    length.writeUInt32LE(bytes.length);
    parts.push(length, bytes);
  });
  return Buffer.concat(parts);
}

function badElement(what: string, value: unknown, path: string, index: number): Error {
  return invalid(`expected ${what} for element ${index} of ${path} but received ${describe(value)}`, path);
}

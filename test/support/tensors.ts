import type { Datatype, InferenceItem, ModelSignature, Tensor, TensorSpec } from '@app/contracts';
import { joinStrings } from '../fixtures/ort-backend';

/** Numbers that repeat for a seed: mulberry32. */
export class SeededRandom {
  constructor(private state: number) {}

  /** In [0, 1). */
  next(): number {
    this.state = (this.state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(this.state ^ (this.state >>> 15), this.state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  }

  /** From low to high, both included. */
  integer(low: number, high: number): number {
    return low + Math.floor(this.next() * (high - low + 1));
  }
}

export interface ItemSize {
  rows: number;
  sequence0: number;
  sequence1: number;
}

/** An item that fits the signature: masks of ones, ids below 900, small numbers, short strings. */
export function randomItem(signature: ModelSignature, size: ItemSize, random: SeededRandom): InferenceItem {
  return { inputs: signature.inputs.map((spec) => randomTensor(spec, size, random)), outputs: null };
}

function randomTensor({ name, datatype, shape, axes }: TensorSpec, size: ItemSize, random: SeededRandom): Tensor {
  const dims = shape.map((dim, i) => {
    const axis = axes[i];
    if (axis === 'batch') return size.rows;
    return axis === 'sequence0' || axis === 'sequence1' ? size[axis] : dim;
  });
  const count = dims.reduce((product, dim) => product * dim, 1);
  const values = Array.from({ length: count }, () => (name.includes('mask') ? 1 : random.integer(0, 899)));
  return { name, datatype, shape: dims, data: encode(datatype, values) };
}

/** Integers as elements of any datatype; floating types get a thousandth of them, strings their decimal text. */
function encode(datatype: Datatype, values: number[]): Uint8Array {
  const bytesOf = ({ buffer, byteOffset, byteLength }: ArrayBufferView): Uint8Array =>
    new Uint8Array(buffer as ArrayBuffer, byteOffset, byteLength);
  switch (datatype) {
    case 'FP32':
      return bytesOf(Float32Array.from(values, (value) => value / 1000));
    case 'FP64':
      return bytesOf(Float64Array.from(values, (value) => value / 1000));
    case 'FP16':
      return bytesOf(Uint16Array.from(values, (value) => 0x2c00 + value)); // 0.0625 to 0.11
    case 'BF16':
      return bytesOf(Uint16Array.from(values, (value) => 0x3d00 + (value & 0xff)));
    case 'BOOL':
      return Uint8Array.from(values, (value) => value & 1);
    case 'UINT8':
    case 'INT8':
      return Uint8Array.from(values);
    case 'UINT16':
    case 'INT16':
      return bytesOf(Uint16Array.from(values));
    case 'UINT32':
    case 'INT32':
      return bytesOf(Uint32Array.from(values));
    case 'UINT64':
    case 'INT64':
      return bytesOf(BigUint64Array.from(values, BigInt));
    case 'BYTES':
      return joinStrings(values.map(String));
  }
}

/** The elements of a floating tensor as numbers; null for other types, which compare by their bytes. */
export function floatsOf({ datatype, data }: Tensor): number[] | null {
  const { buffer } = Uint8Array.from(data); // aligned
  if (datatype === 'FP32') return [...new Float32Array(buffer)];
  if (datatype === 'FP64') return [...new Float64Array(buffer)];
  if (datatype === 'FP16') return [...new Uint16Array(buffer)].map(halfToNumber);
  return null;
}

function halfToNumber(bits: number): number {
  const sign = bits & 0x8000 ? -1 : 1;
  const exponent = (bits >> 10) & 0x1f;
  const fraction = bits & 0x3ff;
  if (exponent === 0x1f) return fraction === 0 ? sign * Infinity : NaN;
  return exponent === 0 ? sign * fraction * 2 ** -24 : sign * (1024 + fraction) * 2 ** (exponent - 25);
}

import type { Tensor, TensorSpec } from '@app/contracts';

const SLAB_WORDS = 16 * 1024;

/** Up to this length rows share the tensors in which all tokens have the same number. */
const SHARED_LENGTH_MAX = 512;

/** What each token of a row has in one input, and what pads the row. */
export interface TokenNumbers {
  /** One for all, or one for each. */
  values: readonly number[] | number;
  pad: number;
}

/** Makes the tensors of one input [1, length] of the rows of a model. Nobody may write to them: rows share some. */
export class RowTensors {
  /** Of zeros, and of ones, by length. */
  private readonly shared: readonly [Tensor[], Tensor[]] = [[], []];
  private readonly isWide: boolean;

  /** `fixedLength` null: rows are as long as they are. */
  constructor(
    private readonly spec: TensorSpec,
    private readonly fixedLength: number | null,
  ) {
    this.isWide = spec.datatype === 'INT64';
  }

  of({ values, pad }: TokenNumbers, count: number): Tensor {
    const length = this.fixedLength ?? count;
    const flag = length === count && length <= SHARED_LENGTH_MAX ? flagOf(values) : null;
    if (flag !== null) return (this.shared[flag][length] ??= this.made(sharedSlab, new Array<number>(length).fill(flag)));
    const given = typeof values === 'number' ? new Array<number>(count).fill(values) : values;
    return this.made(rowSlab, length > count ? [...given, ...new Array<number>(length - count).fill(pad)] : given);
  }

  private made(slab: Slab, values: readonly number[]): Tensor {
    const { name, datatype } = this.spec;
    return { name, datatype, shape: [1, values.length], data: slab.toBytes(values, this.isWide) };
  }
}

/** Null: not all of them are 0, nor all 1. */
function flagOf(values: readonly number[] | number): 0 | 1 | null {
  const first = typeof values === 'number' ? values : values[0];
  if (first !== 0 && first !== 1) return null;
  if (typeof values !== 'number') for (let i = 1; i < values.length; i++) if (values[i] !== first) return null;
  return first;
}

/** Memory that tensors are cut from: a row's own buffers would cost more than its tokens. */
class Slab {
  private words = new Int32Array(0);
  private used = 0;

  /** Little-endian int32 or int64; token ids and flags are never negative and fit 31 bits. Memory that nobody writes to again. */
  toBytes(values: readonly number[], wide: boolean): Uint8Array {
    const stride = wide ? 2 : 1;
    const count = values.length * stride;
    if (this.used + count > this.words.length) [this.words, this.used] = [new Int32Array(Math.max(SLAB_WORDS, count)), 0];
    const { words, used: first } = this;
    // Ends at a multiple of 8 bytes, so that the next one begins there.
    this.used += count + (count % 2);
    for (let i = 0; i < values.length; i++) words[first + i * stride] = values[i] as number;
    return new Uint8Array(words.buffer, first * words.BYTES_PER_ELEMENT, count * words.BYTES_PER_ELEMENT);
  }
}

/** What stays has memory of its own: a tensor keeps all of the slab that it is cut from. */
const [rowSlab, sharedSlab] = [new Slab(), new Slab()];

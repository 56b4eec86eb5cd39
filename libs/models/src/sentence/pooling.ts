import type { PoolingMode } from './pipeline';

/** Token vectors of one row. */
export interface HiddenStates {
  /** [tokens or more, width], row-major. */
  values: Float32Array | Float64Array;
  width: number;
  /** Tokens that are not padding; they come first. */
  tokenCount: number;
  /** Leading tokens that do not count, those of a prompt. */
  skipped: number;
}

/**
 * The poolings of sentence-transformers one after the other, as in its `Pooling` module. Sums are in double precision.
 * Where no token is left, means and the last token are zero, the first token is the row's first, and the maximum is -Infinity.
 */
export function poolTokens(hidden: HiddenStates, modes: readonly PoolingMode[]): Float32Array {
  const { width } = hidden;
  const vector = new Float32Array(width * modes.length);
  modes.forEach((mode, i) => vector.set(pool(hidden, mode), i * width));
  return vector;
}

function pool(hidden: HiddenStates, mode: PoolingMode): ArrayLike<number> {
  const { tokenCount, skipped, width } = hidden;
  const left = Math.max(tokenCount - skipped, 0);
  switch (mode) {
    case 'cls':
      return tokenAt(hidden, left === 0 ? 0 : skipped);
    case 'lasttoken':
      return left === 0 ? new Float32Array(width) : tokenAt(hidden, tokenCount - 1);
    case 'max':
      return largest(hidden);
    case 'mean':
      return scaled(
        weightedSum(hidden, () => 1),
        left,
      );
    case 'mean_sqrt_len_tokens':
      return scaled(
        weightedSum(hidden, () => 1),
        Math.sqrt(left),
      );
    case 'weightedmean':
      return scaled(
        weightedSum(hidden, (token) => token + 1),
        (tokenCount * (tokenCount + 1) - (tokenCount - left) * (tokenCount - left + 1)) / 2,
      );
  }
}

function tokenAt({ values, width }: HiddenStates, token: number): Float32Array | Float64Array {
  return values.subarray(token * width, (token + 1) * width);
}

function largest({ values, width, tokenCount, skipped }: HiddenStates): Float64Array {
  const maxima = new Float64Array(width).fill(-Infinity);
  for (let token = skipped; token < tokenCount; token++) {
    for (let i = 0; i < width; i++) maxima[i] = Math.max(maxima[i] as number, values[token * width + i] as number);
  }
  return maxima;
}

function weightedSum({ values, width, tokenCount, skipped }: HiddenStates, weightOf: (token: number) => number): Float64Array {
  const sums = new Float64Array(width);
  for (let token = skipped; token < tokenCount; token++) {
    const weight = weightOf(token);
    for (let i = 0; i < width; i++) sums[i] = (sums[i] as number) + weight * (values[token * width + i] as number);
  }
  return sums;
}

function scaled(sums: Float64Array, divisor: number): Float64Array {
  return divisor === 0 ? sums : sums.map((sum) => sum / divisor);
}

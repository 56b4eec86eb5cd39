import { loadAddon } from './addon';

/** Room that `writeFloats` wants for each number, and once more for the brackets. */
const NUMBER_BYTES_MAX = 23;

/** Bytes that the JSON of so many numbers takes at most. */
export const floatsBytesMax = (count: number): number => (count + 1) * NUMBER_BYTES_MAX;

/**
 * Writes the JSON array of `values` into `target` from `at` on, with the fewest digits of which each number is the same float32 again: to
 * the last character as `JSON.stringify(shortFloats(values))`. Returns where it ends. Precondition: room for
 * `floatsBytesMax(values.length)`.
 */
export function writeFloats(values: Float32Array, target: Uint8Array, at: number): number {
  return loadAddon().writeFloats(values, target, at);
}

/**
 * The JSON array of the doubles that equal these numbers: 0.10000000149011612 for the float32 of 0.1; -0 with its sign. Null where a number
 * is not finite.
 */
export function doublesText(values: Float32Array | Float64Array): string | null {
  return loadAddon().doublesText(values);
}

/**
 * The numbers that JSON has of a vector: 0.1, where the double that equals the float32 is 0.10000000149011612. Each is the same float32
 * again; NaN and infinities stay.
 */
export function shortFloats(values: Float32Array): number[] {
  const numbers = new Float64Array(values.length);
  loadAddon().shortenFloats(values, numbers);
  return Array.from(numbers);
}

import { loadAddon } from './addon';

/** Room that `writeFloats` wants for each number, and once more for the brackets. */
const NUMBER_BYTES_MAX = 26;

/** Bytes that the JSON of so many numbers takes at most. */
export const floatsBytesMax = (count: number): number => (count + 1) * NUMBER_BYTES_MAX;

/**
 * Writes the JSON array of `values` into `target` from `at` on, to the last character as `JSON.stringify(Array.from(values))` would, five
 * times as fast. Returns where it ends. Precondition: room for `floatsBytesMax(values.length)`.
 */
export function writeFloats(values: Float32Array, target: Uint8Array, at: number): number {
  return loadAddon().writeFloats(values, target, at);
}

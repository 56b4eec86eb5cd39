import { bfloat16ToNumber, float16ToNumber, InterleaveError, type ItemResult, type Tensor } from '@app/contracts';

/** The output of that name; its absence is a fault of the worker. */
export function outputOf(result: ItemResult, name: string): Tensor {
  const tensor = result.outputs.find((output) => output.name === name);
  if (tensor === undefined) throw new InterleaveError('internal', `the worker did not return the output "${name}"`);
  return tensor;
}

export type Floats = Float32Array | Float64Array;

/** As `outputOf` of one that has something for each place of the row: of others nobody knows which tokens they are of. */
export function outputOfPlaces(result: ItemResult, name: string, { rowLength }: { rowLength: number }): Tensor {
  const tensor = outputOf(result, name);
  const places = tensor.shape[1];
  if (places === rowLength) return tensor;
  throw new InterleaveError(
    'inference_failed',
    `expected the output "${name}" to have one entry for each of ${rowLength} tokens but it has ${places}; set "task: tensor" in model.yaml to serve what the graph gives`,
  );
}

/** Elements of a float tensor, none of them rounded. Mostly a view of the tensor's own memory, so do not write to it. */
export function floatsOf(tensor: Tensor): Floats {
  const { name, datatype, data } = tensor;
  if (datatype === 'FP32') return new Float32Array(...aligned(data, 4));
  if (datatype === 'FP64') return new Float64Array(...aligned(data, 8));
  if (datatype === 'FP16') return Float32Array.from(new Uint16Array(...aligned(data, 2)), float16ToNumber);
  if (datatype === 'BF16') return Float32Array.from(new Uint16Array(...aligned(data, 2)), bfloat16ToNumber);
  throw new InterleaveError('internal', `expected floats for the output "${name}" but received ${datatype}`);
}

/** The same bytes at an address that a typed array of `bytes` per element accepts, copied only when they are not. */
function aligned(data: Uint8Array, bytes: number): [ArrayBufferLike, number, number] {
  const usable = data.byteOffset % bytes === 0 ? data : data.slice();
  return [usable.buffer, usable.byteOffset, Math.floor(usable.byteLength / bytes)];
}

/** As the numbers of a vector, which are float32 in every answer; past its range they become infinite, so check them afterwards. */
export function toFloat32(values: Floats): Float32Array {
  return values instanceof Float32Array ? values : Float32Array.from(values);
}

/** Probabilities that sum to 1. */
export function softmax(logits: Floats): number[] {
  let largest = -Infinity;
  for (const logit of logits) largest = Math.max(largest, logit);
  const powers = Array.from(logits, (logit) => Math.exp(logit - largest));
  const sum = powers.reduce((a, b) => a + b, 0);
  return powers.map((power) => power / sum);
}

export const sigmoid = (logit: number): number => 1 / (1 + Math.exp(-logit));

/** PyTorch's least divisor of a vector that is normalised. */
const LENGTH_MIN = 1e-12;

/** Divides by the Euclidean length; a zero vector stays zero. */
export function normalized(vector: Float32Array): Float32Array {
  let squares = 0;
  for (const value of vector) squares += value * value;
  const length = Math.max(Math.sqrt(squares), LENGTH_MIN);
  return vector.map((value) => value / length);
}

/** The same values; throws `inference_failed` when one is NaN or infinite, which no vector and no score may be. */
export function checkFinite<T extends Floats | number[]>(values: T, output: string): T {
  for (let i = 0; i < values.length; i++) {
    const value = values[i] as number;
    if (!Number.isFinite(value)) throw notFinite(value, i, output);
  }
  return values;
}

function notFinite(value: number, index: number, output: string): InterleaveError {
  return new InterleaveError(
    'inference_failed',
    `expected finite numbers from the output "${output}" but element ${index} of the answer is ${value}; the model cannot answer this input`,
  );
}

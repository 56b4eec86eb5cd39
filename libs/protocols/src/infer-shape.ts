import { DATATYPES, InterleaveError, type Datatype, type ModelSignature, type TensorSpec } from '@app/contracts';
import { describe, invalid, mismatch } from './checks';
import type { Limits } from './types';

/** What one input of a request says about itself. */
export interface DeclaredInput {
  spec: TensorSpec;
  shape: number[];
  path: string;
}

/** Each element of a BYTES tensor has a length of 4 bytes. */
const STRING_HEADER_BYTES = 4;
const SHOWN_RANK_MAX = 16;
const SIZE_MAX = 2 ** 31 - 1;

/** The model's input of that name; names those that exist when there is none. */
export function findInput(signature: ModelSignature, name: string, path: string): TensorSpec {
  const spec = signature.inputs.find((input) => input.name === name);
  if (spec !== undefined) return spec;
  throw mismatch(`one of the inputs ${signature.inputs.map((input) => input.name).join(', ')}`, path, name);
}

/** Refuses a datatype other than the model's. */
export function checkDatatype(spec: TensorSpec, received: unknown, path: string): Datatype {
  if (received !== spec.datatype) throw mismatch(`${spec.datatype}, the datatype of the input "${spec.name}",`, path, received);
  return spec.datatype;
}

/** Refuses a shape of another rank or other fixed sizes than the model's. */
export function checkShape(spec: TensorSpec, received: unknown, path: string): number[] {
  const fits =
    Array.isArray(received) &&
    received.length === spec.shape.length &&
    received.every((size, axis) => isSize(size) && (spec.shape[axis] === -1 || spec.shape[axis] === size));
  if (fits) return received as number[];
  const isOver = Array.isArray(received) && received.some((size) => typeof size === 'number' && size > SIZE_MAX);
  const anySize = isOver ? `0 to ${SIZE_MAX}` : '0 or more';
  const expected = spec.shape.map((size) => (size === -1 ? anySize : size)).join(', ');
  throw invalid(`expected the shape [${expected}] for ${path} but received ${showShape(received)}`, path);
}

function showShape(received: unknown): string {
  if (!Array.isArray(received) || received.length > SHOWN_RANK_MAX) return describe(received);
  return `[${received.map((size) => (typeof size === 'number' ? size : describe(size))).join(', ')}]`;
}

/** Bytes of tensor data that an item may still have, of all that it may have. */
export interface ByteBudget {
  bytesLeft: number;
  readonly bytesMax: number;
  /** As in `Limits.tensorBytesKey`. */
  readonly bytesKey: string | undefined;
}

export const byteBudget = ({ tensorBytesMax, tensorBytesKey }: Limits): ByteBudget => ({
  bytesLeft: tensorBytesMax,
  bytesMax: tensorBytesMax,
  bytesKey: tensorBytesKey,
});

/** Number of elements; refuses what takes more than is left, before anything is multiplied out of range. */
export function countElements(shape: readonly number[], datatype: Datatype, budget: ByteBudget, path: string): number {
  if (shape.includes(0)) return 0;
  const elementBytes = DATATYPES[datatype].bytes ?? STRING_HEADER_BYTES;
  let count = 1;
  if (shape.includes(0)) return 0;
  for (const size of shape) {
    count *= size;
    if (count * elementBytes > budget.bytesLeft) throw tooLarge(budget, path);
  }
  return count;
}

/** Takes the data of one tensor out of the budget; refuses what is over it. */
export function spend(budget: ByteBudget, data: Uint8Array, path: string): void {
  budget.bytesLeft -= data.byteLength;
  if (budget.bytesLeft < 0) throw tooLarge(budget, path);
}

export function tooLarge({ bytesMax, bytesKey }: ByteBudget, path: string): InterleaveError {
  const remedy = bytesKey === undefined ? '' : `; send less at once, or raise ${bytesKey} in interleave.yaml`;
  return new InterleaveError('too_large', `expected at most ${bytesMax} bytes of tensor data in all but ${path} takes more${remedy}`, {
    param: path,
  });
}

/** Refuses requests in which an input is missing. Whether sizes that the graph gives one name agree is for the runtime to judge. */
export function checkInputs(signature: ModelSignature, inputs: DeclaredInput[]): void {
  const missing = signature.inputs.find((spec) => !inputs.some((input) => input.spec === spec));
  if (missing !== undefined) {
    throw invalid(`expected the input "${missing.name}" (${missing.datatype} [${missing.shape.join(', ')}]) but it is missing`, 'inputs');
  }
}

function isSize(size: unknown): size is number {
  return typeof size === 'number' && Number.isInteger(size) && size >= 0 && size <= SIZE_MAX;
}

import { InterleaveError, type ItemResult, type ModelSignature, type TensorSpec } from '@app/contracts';
import { ModelFileError } from '../model-files';
import type { TokenSpan } from '../tokenizer';
import type { Prediction, ScoredClass } from '../types';

/** What a head needs to know about the row it answers. */
export interface RowContext {
  /** Tokens that are not padding. */
  tokenCount: number;
  /** Places of the row in the graph: its tokens, and padding up to a length that the graph fixes. */
  rowLength: number;
  /** Null when the caller sent token ids, and for heads that did not ask. */
  spans: TokenSpan[] | null;
  ids: number[];
  topK: number | null;
  rawScores: boolean;
  /** Leading tokens that a prompt gave, special ones included; 0 without one. */
  promptTokens: number;
}

/** Turns the outputs of one row into the answer of one task. */
export interface TaskHead {
  /** Name of the one output that is needed. */
  readonly output: string;
  readonly needsSpans: boolean;
  /** Length of the vectors; null for other tasks, and when the graph does not tell. */
  readonly embeddingWidth: number | null;
  decode(result: ItemResult, row: RowContext): Prediction;
  /** Embedding only. */
  decodeVector(result: ItemResult, row: RowContext): Float32Array;
  /** Sequence classification and text-pair scoring only, in the order of the classes. */
  decodeScores(result: ItemResult, row: RowContext): ScoredClass[];
}

/** For heads that lack a kind of answer; the protocols ask for the task first. */
export const notGiven = (): never => {
  throw new InterleaveError('internal', 'this task gives no such answer');
};

/** The first output whose name is in `names`, or else the only output, if it has one of the ranks. */
export function pickOutput(signature: ModelSignature, names: readonly string[], ranks: readonly number[]): TensorSpec | null {
  const named = names.flatMap((name) => signature.outputs.filter((output) => output.name === name));
  const candidates = named.length > 0 ? named : signature.outputs.length === 1 ? signature.outputs : [];
  return candidates.find((output) => ranks.includes(output.shape.length)) ?? null;
}

/** "name [shape], …" for messages. */
export function describeSpecs(specs: readonly TensorSpec[]): string {
  return specs.map(({ name, datatype, shape }) => `${name} ${datatype}[${shape.join(', ')}]`).join(', ');
}

/** An output of a fixed number of entries belongs to tokens only where the graph fixes as many. */
export function checkPlaces({ outputs }: ModelSignature, output: string, length: number | null): void {
  const { shape = [] } = outputs.find(({ name }) => name === output) ?? {};
  const places = shape.length === 3 ? (shape[1] ?? -1) : -1;
  if (places <= 0 || places === length) return;
  throw new ModelFileError(
    `expected the output "${output}" to have one entry for each of ${length ?? 'any number of'} tokens but it has ${places}; set "task: tensor" in model.yaml to serve it as it is`,
  );
}

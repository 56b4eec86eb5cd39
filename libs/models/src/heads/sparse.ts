import { InterleaveError, type ItemResult, type ModelSignature, type Tensor, type TensorSpec } from '@app/contracts';
import { ModelFileError } from '../model-files';
import type { TextManifest } from '../manifest';
import type { Splade } from '../sentence/splade';
import { describeSpecs, notGiven, type RowContext, type TaskHead } from './head';
import { checkFinite, floatsOf, outputOf, outputOfPlaces, toFloat32, type Floats } from './numbers';

/** Outputs that are the vectors of a whole text, with the pooling inside of the graph. */
const POOLED = ['sparse_embedding', 'sentence_embedding'];
const LOGITS = 'logits';

/** A sparse vector: ids of tokens, ascending, and their weights. All other weights are 0. */
export interface SparseVector {
  indices: number[];
  values: Float32Array;
}

/**
 * Sparse embedding (SPLADE). An output [batch, vocabulary] is the vector; the logits of a masked language model [batch,
 * sequence, vocabulary] are pooled here, over all tokens of the text, special ones included. Throws a `ModelFileError` when
 * the graph has neither, or a module is in the way.
 */
export function sparseHead(signature: ModelSignature, { embeddingOutput, splade }: TextManifest): TaskHead {
  const spec = outputFor(signature, embeddingOutput);
  const isPooled = spec.shape.length === 2;
  if (!isPooled && splade.obstacle !== null)
    throw new ModelFileError(
      `${splade.obstacle}; export the graph with all modules inside and an output "${POOLED[0]}", or set "task: tensor" in model.yaml`,
    );
  if (!isPooled && spec.shape[2] === 1) throw new ModelFileError(oneForEachToken(spec.name));
  return {
    output: spec.name,
    needsSpans: false,
    embeddingWidth: null,
    decodeVector: notGiven,
    decodeScores: notGiven,
    decode(result: ItemResult, row: RowContext) {
      const tensor = isPooled ? outputOf(result, spec.name) : outputOfPlaces(result, spec.name, row);
      const floats = floatsOf(tensor);
      const weights = isPooled
        ? checkFinite(toFloat32(floats), spec.name)
        : pooled(floats, vocabularyOf(tensor), row.tokenCount, splade, spec.name);
      return largest(sparse(weights), splade.activeMax);
    },
  };
}

/** As in bge-m3, whose weights belong to the tokens of the text. */
const oneForEachToken = (output: string): string =>
  `task "sparse" needs a weight for each word of the vocabulary but the output "${output}" has one for each token; set "task: tensor" in model.yaml`;

/** Where the graph does not tell how many weights there are, only the answer does. */
function vocabularyOf({ name, shape }: Tensor): number {
  if (shape[2] === 1) throw new InterleaveError('inference_failed', oneForEachToken(name));
  return shape[2] as number;
}

function outputFor(signature: ModelSignature, embeddingOutput: string | null): TensorSpec {
  const find = (names: readonly string[], rank: number): TensorSpec | undefined =>
    names.flatMap((name) => signature.outputs.filter((output) => output.name === name)).find(({ shape }) => shape.length === rank);
  const named = embeddingOutput === null ? null : [embeddingOutput];
  const spec = find(named ?? POOLED, 2) ?? find(named ?? [LOGITS], 3);
  if (spec !== undefined) return spec;
  const wanted =
    named === null
      ? `${POOLED.join(' or ')} [batch, vocabulary], or ${LOGITS} [batch, sequence, vocabulary]`
      : `"${embeddingOutput}" with 2 or 3 dimensions`;
  throw new ModelFileError(
    `task "sparse" needs an output ${wanted}, but the graph has ${describeSpecs(signature.outputs)}; set embeddingOutput in model.yaml`,
  );
}

/** `SpladePooling`. The functions grow with their argument, so that the largest weight is that of the largest logit. */
function pooled(logits: Floats, width: number, tokenCount: number, { pooling, twice }: Splade, output: string): Float64Array {
  const weightOf = twice ? (logit: number): number => Math.log1p(Math.log1p(logit)) : Math.log1p;
  const sums = new Float64Array(width);
  for (let at = 0; at < tokenCount * width; at++) {
    const logit = logits[at] as number;
    if (!(logit < Infinity)) throw notFinite(logit, at, output);
    if (logit <= 0) continue;
    const word = at % width;
    if (pooling === 'sum') sums[word] = (sums[word] as number) + weightOf(logit);
    else if (logit > (sums[word] as number)) sums[word] = logit;
  }
  return pooling === 'sum' ? sums : sums.map(weightOf);
}

function notFinite(value: number, index: number, output: string): InterleaveError {
  return new InterleaveError(
    'inference_failed',
    `expected finite numbers from the output "${output}" but element ${index} is ${value}; the model cannot answer this input`,
  );
}

function sparse(weights: Float32Array | Float64Array): SparseVector {
  const indices: number[] = [];
  const values: number[] = [];
  for (let i = 0; i < weights.length; i++) {
    const weight = Math.fround(weights[i] as number);
    if (weight === 0) continue;
    indices.push(i);
    values.push(weight);
  }
  return { indices, values: Float32Array.from(values) };
}

/** The `count` weights that are farthest from 0, as in sentence-transformers; of equal ones the first. */
function largest(vector: SparseVector, count: number | null): SparseVector {
  const { indices, values } = vector;
  if (count === null || values.length <= count) return vector;
  const kept = indices
    .map((_, i) => i)
    .sort((a, b) => Math.abs(values[b] as number) - Math.abs(values[a] as number) || a - b)
    .slice(0, count)
    .sort((a, b) => a - b);
  return { indices: kept.map((i) => indices[i] as number), values: Float32Array.from(kept, (i) => values[i] as number) };
}

import type { ItemResult, ModelSignature } from '@app/contracts';
import { ModelFileError } from '../hugging-face';
import type { Pooling, TextManifest } from '../manifest';
import { describeSpecs, pickOutput, type RowContext, type TaskHead } from './head';
import { floatsOf, normalized, outputOf } from './numbers';

const POOLED = 'sentence_embedding';
const HIDDEN = ['last_hidden_state', 'token_embeddings', 'hidden_states'];

/**
 * Text embedding. An output [batch, width] is the vector; an output [batch, sequence, width] is pooled over the row's
 * tokens and normalised, as the manifest says.
 */
export function embeddingHead(signature: ModelSignature, text: TextManifest): TaskHead {
  const names = text.embeddingOutput === null ? [POOLED, ...HIDDEN] : [text.embeddingOutput];
  const spec = pickOutput(signature, names, [2, 3]);
  if (spec === null) {
    throw new ModelFileError(
      `task "embedding" needs an output ${names.join(' or ')} with 2 or 3 dimensions but the graph has ${describeSpecs(signature.outputs)}; set embeddingOutput in model.yaml`,
    );
  }
  const isPooled = spec.shape.length === 2;
  if (!isPooled && text.pooling === 'none') {
    throw new ModelFileError(`pooling "none" needs an output [batch, width] but "${spec.name}" has 3 dimensions`);
  }
  const lastDimension = spec.shape.at(-1) ?? -1;
  const normalize = text.normalize ?? !isPooled;
  const decodeVector = (result: ItemResult, row: RowContext): Float32Array => {
    const values = floatsOf(outputOf(result, spec.name));
    const vector = isPooled ? values : pool(values, row.tokenCount, result, text.pooling, spec.name);
    return normalize ? normalized(vector) : vector;
  };
  return {
    output: spec.name,
    needsSpans: false,
    embeddingWidth: lastDimension > 0 ? lastDimension : null,
    decode: (result, row) => Array.from(decodeVector(result, row)),
    decodeVector,
  };
}

/** `hidden` is [1, tokens or more, width], row-major; only the first `tokenCount` tokens count. */
function pool(hidden: Float32Array, tokenCount: number, result: ItemResult, pooling: Pooling, name: string): Float32Array {
  const width = outputOf(result, name).shape.at(-1) ?? 0;
  if (pooling === 'cls') return hidden.slice(0, width);
  const sums = new Float64Array(width).fill(pooling === 'max' ? -Infinity : 0);
  for (let token = 0; token < tokenCount; token++) {
    for (let i = 0; i < width; i++) {
      const value = hidden[token * width + i] as number;
      sums[i] = pooling === 'max' ? Math.max(sums[i] as number, value) : (sums[i] as number) + value;
    }
  }
  return Float32Array.from(sums, (sum) => (pooling === 'max' ? sum : sum / tokenCount));
}

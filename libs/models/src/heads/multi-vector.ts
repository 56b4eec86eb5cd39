import type { ItemResult, ModelSignature } from '@app/contracts';
import { ModelFileError } from '../model-files';
import type { TextManifest } from '../manifest';
import { describeSpecs, notGiven, type RowContext, type TaskHead } from './head';
import { checkFinite, floatsOf, normalized, outputOfPlaces, toFloat32 } from './numbers';

/**
 * A vector for each token of the text, special ones included: the output [batch, sequence, width] that model.yaml names, each
 * vector of length 1 unless it says `normalize: false`. Throws a `ModelFileError` when there is no such output.
 */
export function multiVectorHead(signature: ModelSignature, { embeddingOutput, sentence, skipFirstToken }: TextManifest): TaskHead {
  const spec = signature.outputs.find(({ name, shape }) => name === embeddingOutput && shape.length === 3);
  if (spec === undefined) {
    throw new ModelFileError(
      `task "multi-vector" needs embeddingOutput in model.yaml, the name of an output [batch, sequence, width], but the graph has ${describeSpecs(signature.outputs)}`,
    );
  }
  const normalizes = sentence.normalize ?? true;
  return {
    output: spec.name,
    needsSpans: false,
    embeddingWidth: null,
    decodeVector: notGiven,
    decodeScores: notGiven,
    decode(result: ItemResult, row: RowContext) {
      const { tokenCount } = row;
      const tensor = outputOfPlaces(result, spec.name, row);
      const values = toFloat32(floatsOf(tensor));
      const width = tensor.shape[2] as number;
      const first = skipFirstToken ? 1 : 0;
      return Array.from({ length: Math.max(tokenCount - first, 0) }, (_, i) => {
        const vector = checkFinite(values.subarray((first + i) * width, (first + i + 1) * width), spec.name);
        return normalizes ? normalized(vector) : vector;
      });
    },
  };
}

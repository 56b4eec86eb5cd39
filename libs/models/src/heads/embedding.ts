import type { ItemResult, ModelSignature, TensorSpec } from '@app/contracts';
import { z } from 'zod';
import { ModelFileError, ModelJson } from '../model-files';
import type { TextManifest } from '../manifest';
import { loadLayer, type Layer } from '../sentence/layers';
import type { SentencePipeline } from '../sentence/pipeline';
import { poolTokens } from '../sentence/pooling';
import { describeSpecs, notGiven, pickOutput, type RowContext, type TaskHead } from './head';
import { checkFinite, floatsOf, normalized, outputOf, outputOfPlaces, toFloat32, type Floats } from './numbers';

const POOLED = 'sentence_embedding';
const HIDDEN = ['last_hidden_state', 'token_embeddings', 'hidden_states'];
const INSIDE = `export the graph with all modules inside and an output "${POOLED}", or set "task: tensor" in model.yaml to have its own outputs`;

/**
 * Text embedding. An output [batch, width] is the vector, with all modules inside of the graph; an output
 * [batch, sequence, width] goes through the pooling and the modules after it, and comes first where model.yaml says how to
 * pool. Throws a `ModelFileError` that names a module which cannot be computed here.
 */
export function embeddingHead(signature: ModelSignature, text: TextManifest): TaskHead {
  const names = text.embeddingOutput === null ? [POOLED, ...HIDDEN] : [text.embeddingOutput];
  const isAsked = text.sentence.poolingIsAsked;
  const spec = (isAsked ? pickOutput(signature, names, [3]) : null) ?? pickOutput(signature, names, [2, 3]);
  if (spec === null) {
    throw new ModelFileError(
      `task "embedding" needs an output ${names.join(' or ')} with 2 or 3 dimensions but the graph has ${describeSpecs(signature.outputs)}; set embeddingOutput in model.yaml`,
    );
  }
  const isPooled = spec.shape.length === 2;
  if (isPooled && isAsked) {
    throw new ModelFileError(
      `model.yaml: expected an output of token vectors for "pooling" but the output "${spec.name}" is [batch, width], pooled already; remove pooling, or set embeddingOutput to an output [batch, sequence, width] (the graph has ${describeSpecs(signature.outputs)})`,
    );
  }
  const { layers, width } = isPooled ? insideGraph(spec, text) : outsideGraph(spec, text.sentence);
  const { truncateTo, normalize } = text.sentence;
  const normalizes = normalize ?? !isPooled;
  const decodeVector = (result: ItemResult, row: RowContext): Float32Array => {
    const values = floatsOf(isPooled ? outputOf(result, spec.name) : outputOfPlaces(result, spec.name, row));
    const pooled = isPooled ? toFloat32(values) : poolTokens(hiddenStates(values, result, row, spec, text.sentence), text.sentence.pooling);
    const vector = layers.reduce((before, layer) => layer.apply(before), pooled);
    return checkFinite(truncated(normalizes ? normalized(vector) : vector, truncateTo), spec.name);
  };
  return {
    output: spec.name,
    needsSpans: false,
    embeddingWidth: width === null ? null : Math.min(width, truncateTo ?? width),
    decode: decodeVector,
    decodeVector,
    decodeScores: notGiven,
  };
}

interface BoundLayers {
  layers: Layer[];
  /** Length of the vector; null: not known. */
  width: number | null;
}

function hiddenStates(
  values: Floats,
  result: ItemResult,
  row: RowContext,
  spec: TensorSpec,
  sentence: SentencePipeline,
): Parameters<typeof poolTokens>[0] {
  const width = outputOf(result, spec.name).shape.at(-1) ?? 0;
  return { values, width, tokenCount: row.tokenCount, skipped: sentence.includePrompt ? 0 : row.promptTokens };
}

/** An output that is one vector a row: it has the modules behind it, which its width must not contradict. */
function insideGraph(spec: TensorSpec, { sentence, prompts }: TextManifest): BoundLayers {
  const width = knownWidth(spec);
  if (!sentence.includePrompt && [...prompts.byName.values()].some((prompt) => prompt !== '')) {
    throw new ModelFileError(
      `the Pooling in modules.json leaves prompts out (include_prompt), which the output "${spec.name}" cannot; set embeddingOutput in model.yaml to the output with the token vectors`,
    );
  }
  if (spec.name !== POOLED && (sentence.obstacle !== null || sentence.layers.some(({ kind }) => kind !== 'Normalize'))) {
    throw new ModelFileError(
      `${sentence.obstacle ?? 'modules.json has modules after the pooling'}, and the output "${spec.name}" does not tell whether they are in the graph; name it "${POOLED}" if they are`,
    );
  }
  const expected = sentence.obstacle === null ? widthAfter(sentence) : null;
  if (width !== null && expected !== null && width !== expected) {
    throw new ModelFileError(
      `modules.json gives vectors of ${expected} numbers but the output "${spec.name}" has ${width}: it lacks modules; set embeddingOutput in model.yaml to the output with the token vectors`,
    );
  }
  return { layers: [], width };
}

function widthAfter(sentence: SentencePipeline): number | null {
  const dense = sentence.layers.filter(({ kind }) => kind === 'Dense').at(-1);
  if (dense !== undefined) return ModelJson.read([dense.folder], 'config.json')?.get('out_features', z.number()) ?? null;
  return sentence.hiddenWidth === null || sentence.pooling.length === 0 ? null : sentence.hiddenWidth * sentence.pooling.length;
}

/** An output of token vectors: everything after them is computed here. */
function outsideGraph(spec: TensorSpec, sentence: SentencePipeline): BoundLayers {
  if (sentence.obstacle !== null)
    throw new ModelFileError(`${sentence.obstacle}; ${sentence.poolingIsAsked ? 'remove pooling from model.yaml, and ' : ''}${INSIDE}`);
  if (sentence.pooling.length === 0)
    throw new ModelFileError(`pooling "none" needs an output [batch, width] but "${spec.name}" has 3 dimensions`);
  const hidden = knownWidth(spec);
  if (hidden !== null && sentence.hiddenWidth !== null && hidden !== sentence.hiddenWidth) {
    throw new ModelFileError(
      `the Pooling in modules.json is for token vectors of ${sentence.hiddenWidth} numbers but the output "${spec.name}" has ${hidden}; set embeddingOutput in model.yaml`,
    );
  }
  let width = hidden === null ? null : hidden * sentence.pooling.length;
  const layers = sentence.layers.map((layerSpec) => {
    const layer = loadLayer(layerSpec);
    if (layer.widthIn !== null && width !== null && layer.widthIn !== width) {
      throw new ModelFileError(
        `${layerSpec.kind} in modules.json (${layerSpec.folder}): expected vectors of ${layer.widthIn} numbers but the modules before it give ${width}`,
      );
    }
    width = layer.widthOut ?? width;
    return layer;
  });
  return { layers, width };
}

function knownWidth(spec: TensorSpec): number | null {
  const width = spec.shape.at(-1) ?? -1;
  return width > 0 ? width : null;
}

function truncated(vector: Float32Array, truncateTo: number | null): Float32Array {
  return truncateTo === null ? vector : vector.subarray(0, truncateTo);
}

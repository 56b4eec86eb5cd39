import { GraphBuilder } from './graph';

/** Size of a BERT-style encoder. */
export interface EncoderShape {
  layers: number;
  width: number;
  heads: number;
  feedForward: number;
  vocabulary: number;
  /** Rows of the position table: longer inputs fail in the runtime. */
  positions: number;
}

/** The inputs of an encoder; a mask or token types that are null are not part of the graph. */
export interface EncoderInputs {
  ids: string;
  mask: string | null;
  tokenTypes: string | null;
}

/** Added to the scores of masked positions: finite, fits float16, and exp(score + it) is 0 in every precision. */
const MASKED_SCORE = -10_000;
const LAYER_NORM_EPSILON = 1e-12;

export function addTextInputs(
  builder: GraphBuilder,
  options: { mask: boolean; tokenTypes: boolean; prefix?: string; axis?: string },
): EncoderInputs {
  const { prefix = '', axis = 'sequence' } = options;
  const input = (name: string): string => builder.input(`${prefix}${name}`, 'INT64', ['batch', axis]);
  return {
    ids: input('input_ids'),
    mask: options.mask ? input('attention_mask') : null,
    tokenTypes: options.tokenTypes ? input('token_type_ids') : null,
  };
}

/**
 * Adds an encoder and returns its hidden states [batch, sequence, width]: embeddings, then per layer self-attention and
 * a feed-forward block, each followed by a residual connection and layer normalisation (post-norm, as in BERT).
 * Weights have deviation 1/sqrt(fan-in), so activations stay near 1 and results are well conditioned in float32.
 */
export function addEncoder(b: GraphBuilder, shape: EncoderShape, inputs: EncoderInputs, scope = 'encoder'): string {
  const bias = inputs.mask === null ? null : maskBias(b, inputs.mask);
  let hidden = embeddings(b, shape, inputs, `${scope}.embeddings`);
  for (let layer = 0; layer < shape.layers; layer++) {
    const prefix = `${scope}.layer.${layer}`;
    const attended = attention(b, shape, hidden, bias, `${prefix}.attention`);
    hidden = layerNorm(b, shape.width, b.op('Add', [attended, hidden]), `${prefix}.attention.norm`);
    const inner = gelu(b, linear(b, hidden, shape.width, shape.feedForward, `${prefix}.inner`));
    const outer = linear(b, inner, shape.feedForward, shape.width, `${prefix}.outer`);
    hidden = layerNorm(b, shape.width, b.op('Add', [outer, hidden]), `${prefix}.norm`);
  }
  return hidden;
}

/** Mean of the hidden states whose mask is 1, then divided by its Euclidean length: [batch, width]. */
export function addSentenceEmbedding(b: GraphBuilder, hidden: string, mask: string | null): string {
  const mean = mask === null ? b.op('ReduceMean', [hidden], { axes: [1], keepdims: 0 }) : maskedMean(b, hidden, mask);
  const length = b.op('ReduceL2', [mean], { axes: [1], keepdims: 1 });
  return b.op('Div', [mean, b.op('Max', [length, b.scalar(1e-6)])]);
}

/** `x · W + bias` over the last axis. */
export function linear(b: GraphBuilder, x: string, inner: number, outer: number, name: string): string {
  const product = b.op('MatMul', [x, b.weight(`${name}.weight`, [inner, outer], 1 / Math.sqrt(inner))]);
  return b.op('Add', [product, b.weight(`${name}.bias`, [outer], 0.02)]);
}

function maskedMean(b: GraphBuilder, hidden: string, mask: string): string {
  const weights = b.op('Unsqueeze', [b.op('Cast', [mask], { to: b.onnxFloatType }), b.ints(-1)]);
  const sum = b.op('ReduceSum', [b.op('Mul', [hidden, weights]), b.ints(1)], { keepdims: 0 });
  const count = b.op('ReduceSum', [weights, b.ints(1)], { keepdims: 0 });
  return b.op('Div', [sum, b.op('Max', [count, b.scalar(1)])]);
}

/** 0 where the mask is 1 and a large negative number elsewhere: [batch, 1, 1, sequence]. */
function maskBias(b: GraphBuilder, mask: string): string {
  const wide = b.op('Cast', [b.op('Unsqueeze', [mask, b.ints(1, 2)])], { to: b.onnxFloatType });
  return b.op('Mul', [b.op('Sub', [b.scalar(1), wide]), b.scalar(MASKED_SCORE)]);
}

function embeddings(b: GraphBuilder, shape: EncoderShape, inputs: EncoderInputs, name: string): string {
  const words = b.op('Gather', [b.weight(`${name}.word`, [shape.vocabulary, shape.width], 1), inputs.ids]);
  const length = b.op('Squeeze', [b.op('Slice', [b.op('Shape', [inputs.ids]), b.ints(1), b.ints(2)])]);
  const positions = b.op('Range', [b.int(0), length, b.int(1)]);
  const table = b.weight(`${name}.position`, [shape.positions, shape.width], 0.3);
  let sum = b.op('Add', [words, b.op('Gather', [table, positions])]);
  if (inputs.tokenTypes !== null) {
    sum = b.op('Add', [sum, b.op('Gather', [b.weight(`${name}.type`, [2, shape.width], 0.3), inputs.tokenTypes])]);
  }
  return layerNorm(b, shape.width, sum, `${name}.norm`);
}

function attention(b: GraphBuilder, shape: EncoderShape, x: string, bias: string | null, name: string): string {
  const headWidth = shape.width / shape.heads;
  const split = b.ints(0, 0, shape.heads, headWidth);
  const project = (role: string, perm: number[]): string =>
    b.op('Transpose', [b.op('Reshape', [linear(b, x, shape.width, shape.width, `${name}.${role}`), split])], { perm });
  const query = project('query', [0, 2, 1, 3]);
  const key = project('key', [0, 2, 3, 1]);
  const value = project('value', [0, 2, 1, 3]);
  const scaled = b.op('Div', [b.op('MatMul', [query, key]), b.scalar(Math.sqrt(headWidth))]);
  const scores = bias === null ? scaled : b.op('Add', [scaled, bias]);
  const mixed = b.op('MatMul', [b.op('Softmax', [scores], { axis: -1 }), value]);
  const merged = b.op('Reshape', [b.op('Transpose', [mixed], { perm: [0, 2, 1, 3] }), b.ints(0, 0, shape.width)]);
  return linear(b, merged, shape.width, shape.width, `${name}.output`);
}

function layerNorm(b: GraphBuilder, width: number, x: string, name: string): string {
  const inputs = [x, b.filled(`${name}.weight`, [width], 1), b.filled(`${name}.bias`, [width], 0)];
  return b.op('LayerNormalization', inputs, { axis: -1, epsilon: { float: LAYER_NORM_EPSILON } });
}

/** The exact form, x/2 · (1 + erf(x/√2)). */
function gelu(b: GraphBuilder, x: string): string {
  const erf = b.op('Erf', [b.op('Div', [x, b.scalar(Math.SQRT2)])]);
  return b.op('Mul', [b.op('Mul', [x, b.op('Add', [erf, b.scalar(1)])]), b.scalar(0.5)]);
}

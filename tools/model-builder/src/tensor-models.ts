import type { Datatype } from '@app/contracts';
import { addEncoder, addSentenceEmbedding, addTextInputs, linear, type EncoderShape } from './encoder';
import type { ModelFiles } from './files';
import { GraphBuilder, type Dimension } from './graph';
import { TINY } from './text-models';

const SMALL: EncoderShape = { layers: 1, width: 32, heads: 2, feedForward: 64, vocabulary: 1000, positions: 512 };
const HALF_WIDTH = 16;

const versioned = (b: GraphBuilder): ModelFiles => ({ '1/model.onnx': b.encode() });

/** A sequence axis but no mask: padding would change the answer. */
export function noMask(): ModelFiles {
  const b = new GraphBuilder('no-mask');
  const hidden = addEncoder(b, SMALL, addTextInputs(b, { mask: false, tokenTypes: false }));
  b.output('last_hidden_state', 'FP32', ['batch', 'sequence', SMALL.width], hidden);
  b.output('sentence_embedding', 'FP32', ['batch', SMALL.width], addSentenceEmbedding(b, hidden, null));
  return versioned(b);
}

/**
 * What comes after the hidden states of encoder-tiny, as a step of a graph: `hidden` [batch, sequence, 128] and a mask in,
 * `sentence_embedding` [batch, 128] out.
 */
export function pooler(): ModelFiles {
  const b = new GraphBuilder('pooler');
  const hidden = b.input('hidden', 'FP32', ['batch', 'sequence', TINY.width]);
  const mask = b.input('attention_mask', 'INT64', ['batch', 'sequence']);
  b.output('sentence_embedding', 'FP32', ['batch', TINY.width], addSentenceEmbedding(b, hidden, mask));
  return versioned(b);
}

/**
 * Two independent sequence axes: a query attends to a document. `attention` [batch, query, sequence] carries both,
 * `context` [batch, query, width] one, `score` [batch] none.
 */
export function twoAxes(): ModelFiles {
  const b = new GraphBuilder('two-axes');
  const document = addTextInputs(b, { mask: true, tokenTypes: false });
  const query = addTextInputs(b, { mask: true, tokenTypes: false, prefix: 'query_', axis: 'query' });
  const documentHidden = addEncoder(b, SMALL, document, 'document');
  const queryHidden = addEncoder(b, SMALL, query, 'query');
  const scores = b.op('MatMul', [queryHidden, b.op('Transpose', [documentHidden], { perm: [0, 2, 1] })]);
  const mask = b.op('Cast', [b.op('Unsqueeze', [document.mask as string, b.ints(1)])], { to: b.onnxFloatType });
  const bias = b.op('Mul', [b.op('Sub', [b.scalar(1), mask]), b.scalar(-10_000)]);
  const attention = b.op('Softmax', [b.op('Add', [b.op('Div', [scores, b.scalar(SMALL.width)]), bias])], { axis: -1 });
  const context = b.op('MatMul', [attention, documentHidden]);
  const pooled = addSentenceEmbedding(b, context, query.mask);
  b.output('attention', 'FP32', ['batch', 'query', 'sequence'], attention);
  b.output('context', 'FP32', ['batch', 'query', SMALL.width], context);
  b.output('score', 'FP32', ['batch'], b.op('ReduceMax', [pooled], { axes: [1], keepdims: 0 }));
  return versioned(b);
}

/** Half precision everywhere: `features` [batch, sequence, 16] and a mask in, `hidden` and `pooled` out. */
export function half(): ModelFiles {
  const b = new GraphBuilder('half', 'FP16');
  const features = b.input('features', 'FP16', ['batch', 'sequence', HALF_WIDTH]);
  const mask = b.input('attention_mask', 'INT64', ['batch', 'sequence']);
  const hidden = b.op('Tanh', [linear(b, features, HALF_WIDTH, HALF_WIDTH, 'layer')]);
  b.output('hidden', 'FP16', ['batch', 'sequence', HALF_WIDTH], hidden);
  b.output('pooled', 'FP16', ['batch', HALF_WIDTH], addSentenceEmbedding(b, hidden, mask));
  return versioned(b);
}

/** Strings in: `echo` gives them back, `label` is 1 for "yes", 0 for "no" and -1 for all else. */
export function strings(): ModelFiles {
  const b = new GraphBuilder('strings');
  const text = b.input('text', 'BYTES', ['batch']);
  b.output('echo', 'BYTES', ['batch'], text);
  const attributes = { keys_strings: ['yes', 'no'], values_int64s: [1, 0], default_int64: -1 };
  b.output('label', 'INT64', ['batch'], b.op('LabelEncoder', [text], attributes, 'ai.onnx.ml'));
  return versioned(b);
}

const IDENTITY_TYPES: Datatype[] = [
  'BOOL',
  'UINT8',
  'UINT16',
  'UINT32',
  'UINT64',
  'INT8',
  'INT16',
  'INT32',
  'INT64',
  'FP16',
  'FP32',
  'FP64',
  'BYTES',
];

/** `in_<type>` [batch, 3] comes back as `out_<type>`, for every element type but bfloat16. */
export function types(): ModelFiles {
  return identities('types', IDENTITY_TYPES);
}

/** The same for bfloat16, apart because onnxruntime-node cannot load such a model. */
export function bfloat16(): ModelFiles {
  return identities('bfloat16', ['BF16']);
}

function identities(name: string, datatypes: Datatype[]): ModelFiles {
  const b = new GraphBuilder(name);
  const shape: Dimension[] = ['batch', 3];
  for (const datatype of datatypes) {
    const input = b.input(`in_${datatype.toLowerCase()}`, datatype, shape);
    b.output(`out_${datatype.toLowerCase()}`, datatype, shape, input);
  }
  return versioned(b);
}

/** An image classifier: `image` [batch, 3, 8, 8] to `logits` [batch, 5]; no sequence. */
export function fixed(): ModelFiles {
  const b = new GraphBuilder('fixed');
  const image = b.input('image', 'FP32', ['batch', 3, 8, 8]);
  const filters = b.weight('filters', [4, 3, 3, 3], 0.2);
  const maps = b.op('Relu', [b.op('Conv', [image, filters], { kernel_shape: [3, 3], pads: [1, 1, 1, 1] })]);
  const pooled = b.op('ReduceMean', [maps], { axes: [2, 3], keepdims: 0 });
  b.output('logits', 'FP32', ['batch', 5], linear(b, pooled, 4, 5, 'head'));
  return versioned(b);
}

/** Fixed shapes throughout, so requests cannot share a run: `sum` [2, 3] = `x` [2, 3] + `y` [3]. */
export function noBatch(): ModelFiles {
  const b = new GraphBuilder('no-batch');
  const x = b.input('x', 'FP32', [2, 3]);
  const y = b.input('y', 'FP32', [3]);
  b.output('sum', 'FP32', [2, 3], b.op('Add', [x, y]));
  return versioned(b);
}

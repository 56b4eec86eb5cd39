import { addEncoder, addSentenceEmbedding, addTextInputs, linear, type EncoderShape } from './encoder';
import { jsonFile, type ModelFiles } from './files';
import { GraphBuilder } from './graph';
import { buildTokenizer } from './tokenizer';

/** Long enough for every paragraph of the Universal Declaration in every language, in this character-near vocabulary. */
const POSITIONS = 2048;
const VOCABULARY = 30_522;
const SMALL_VOCABULARY = 3000;
export const TINY: EncoderShape = { layers: 2, width: 128, heads: 2, feedForward: 512, vocabulary: VOCABULARY, positions: POSITIONS };
const SMALL: EncoderShape = { layers: 6, width: 384, heads: 12, feedForward: 1536, vocabulary: VOCABULARY, positions: POSITIONS };
const MINIMAL: EncoderShape = { layers: 1, width: 32, heads: 2, feedForward: 64, vocabulary: VOCABULARY, positions: 512 };

const SENTIMENTS = ['negative', 'neutral', 'positive'];
const ENTITIES = ['O', 'B-PER', 'I-PER', 'B-LOC', 'I-LOC'];

export const encoderTiny = (): ModelFiles => embeddingModel('encoder-tiny', TINY);
export const encoderSmall = (): ModelFiles => embeddingModel('encoder-small', SMALL);

/** `last_hidden_state` [batch, sequence, width] and `sentence_embedding` [batch, width], laid out as a Hugging Face export; takes token ids. */
function embeddingModel(name: string, shape: EncoderShape): ModelFiles {
  const b = new GraphBuilder(name);
  const inputs = addTextInputs(b, { mask: true, tokenTypes: false });
  const hidden = addEncoder(b, shape, inputs);
  b.output('last_hidden_state', 'FP32', ['batch', 'sequence', shape.width], hidden);
  b.output('sentence_embedding', 'FP32', ['batch', shape.width], addSentenceEmbedding(b, hidden, inputs.mask));
  return { 'model.onnx': b.encode(), 'model.yaml': Buffer.from('tokenIds: true\ndimensions: any\n'), ...textFiles(shape, 'BertModel') };
}

/** Sentence labels: `logits` [batch, 3] from the first token. */
export function classifier(): ModelFiles {
  return {
    'model.onnx': firstTokenLogits('classifier', SENTIMENTS.length, false),
    ...textFiles(MINIMAL, 'BertForSequenceClassification', withLabels(SENTIMENTS)),
  };
}

/** Cross-encoder: `logits` [batch, 1] for a pair of texts, told apart by `token_type_ids`. */
export function reranker(): ModelFiles {
  return {
    'model.onnx': firstTokenLogits('reranker', 1, true),
    ...textFiles(MINIMAL, 'BertForSequenceClassification', withLabels(['LABEL_0'])),
  };
}

/** Token labels: `logits` [batch, sequence, 5]. */
export function tokenClassifier(): ModelFiles {
  const b = new GraphBuilder('token-classifier');
  const hidden = addEncoder(b, MINIMAL, addTextInputs(b, { mask: true, tokenTypes: false }));
  const logits = linear(b, hidden, MINIMAL.width, ENTITIES.length, 'head');
  b.output('logits', 'FP32', ['batch', 'sequence', ENTITIES.length], logits);
  return { 'model.onnx': b.encode(), ...textFiles(MINIMAL, 'BertForTokenClassification', withLabels(ENTITIES)) };
}

/** SPLADE: `logits` [batch, sequence, vocabulary] of a masked language model, with the modules of a SparseEncoder. */
export function splade(): ModelFiles {
  const shape = { ...MINIMAL, vocabulary: SMALL_VOCABULARY };
  const b = new GraphBuilder('splade');
  const hidden = addEncoder(b, shape, addTextInputs(b, { mask: true, tokenTypes: false }));
  b.output('logits', 'FP32', ['batch', 'sequence', shape.vocabulary], linear(b, hidden, shape.width, shape.vocabulary, 'head'));
  const sparse = 'sentence_transformers.sparse_encoder.models';
  return {
    'model.onnx': b.encode(),
    ...textFiles(shape, 'BertForMaskedLM'),
    'config_sentence_transformers.json': jsonFile({ model_type: 'SparseEncoder', similarity_fn_name: 'dot' }),
    'modules.json': jsonFile([
      { idx: 0, name: '0', path: '', type: `${sparse}.MLMTransformer` },
      { idx: 1, name: '1', path: '1_SpladePooling', type: `${sparse}.SpladePooling` },
    ]),
    '1_SpladePooling/config.json': jsonFile({
      pooling_strategy: 'max',
      activation_function: 'relu',
      word_embedding_dimension: shape.vocabulary,
    }),
  };
}

/** A vector for each token: `token_vectors` [batch, sequence, 16]. */
export function multiVector(): ModelFiles {
  const shape = { ...MINIMAL, vocabulary: SMALL_VOCABULARY };
  const b = new GraphBuilder('multi-vector');
  const hidden = addEncoder(b, shape, addTextInputs(b, { mask: true, tokenTypes: false }));
  b.output('token_vectors', 'FP32', ['batch', 'sequence', 16], linear(b, hidden, shape.width, 16, 'head'));
  return {
    'model.onnx': b.encode(),
    'model.yaml': Buffer.from('task: multi-vector\nembeddingOutput: token_vectors\n'),
    ...textFiles(shape, 'BertModel'),
  };
}

function firstTokenLogits(name: string, labels: number, tokenTypes: boolean): Uint8Array {
  const b = new GraphBuilder(name);
  const hidden = addEncoder(b, MINIMAL, addTextInputs(b, { mask: true, tokenTypes }));
  const first = b.op('Gather', [hidden, b.int(0)], { axis: 1 });
  b.output('logits', 'FP32', ['batch', labels], linear(b, first, MINIMAL.width, labels, 'head'));
  return b.encode();
}

function withLabels(labels: string[]): object {
  return { id2label: Object.fromEntries(labels.map((label, id) => [id, label])) };
}

/** config.json and the tokenizer's files, as a Hugging Face export has them. */
function textFiles(shape: EncoderShape, architecture: string, extra: object = {}): ModelFiles {
  return {
    'config.json': jsonFile({
      architectures: [architecture],
      model_type: 'bert',
      hidden_size: shape.width,
      num_hidden_layers: shape.layers,
      num_attention_heads: shape.heads,
      intermediate_size: shape.feedForward,
      vocab_size: shape.vocabulary,
      max_position_embeddings: shape.positions,
      type_vocab_size: 2,
      pad_token_id: 0,
      ...extra,
    }),
    'tokenizer.json': jsonFile(buildTokenizer(shape.vocabulary)),
    'tokenizer_config.json': jsonFile({ tokenizer_class: 'BertTokenizer', do_lower_case: false, model_max_length: shape.positions }),
  };
}

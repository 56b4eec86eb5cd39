import { addEncoder, addSentenceEmbedding, addTextInputs, type EncoderShape } from './encoder';
import { GraphBuilder } from './graph';
import { buildTokenizer } from './tokenizer';
import { jsonFile, type ModelFiles } from './files';

/** Long enough for every paragraph of the Universal Declaration in every language, in this character-near vocabulary. */
const POSITIONS = 2048;
const TINY: EncoderShape = { layers: 2, width: 128, heads: 2, feedForward: 512, vocabulary: 30_522, positions: POSITIONS };
const SMALL: EncoderShape = { layers: 6, width: 384, heads: 12, feedForward: 1536, vocabulary: 30_522, positions: POSITIONS };

export const encoderTiny = (): ModelFiles => embeddingModel('encoder-tiny', TINY);
export const encoderSmall = (): ModelFiles => embeddingModel('encoder-small', SMALL);

/** `last_hidden_state` [batch, sequence, width] and `sentence_embedding` [batch, width], laid out as a Hugging Face export. */
function embeddingModel(name: string, shape: EncoderShape): ModelFiles {
  const b = new GraphBuilder(name);
  const inputs = addTextInputs(b, { mask: true, tokenTypes: false });
  const hidden = addEncoder(b, shape, inputs);
  b.output('last_hidden_state', 'FP32', ['batch', 'sequence', shape.width], hidden);
  b.output('sentence_embedding', 'FP32', ['batch', shape.width], addSentenceEmbedding(b, hidden, inputs.mask));
  return { 'model.onnx': b.encode(), ...textFiles(shape, 'BertModel') };
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

import { addEncoder, addSentenceEmbedding, addTextInputs, type EncoderShape } from './encoder';
import { ExternalWeights } from './external-weights';
import type { FileWriter } from './files';
import { GraphBuilder } from './graph';
import { textFiles } from './text-models';

const DATA_FILE = 'model.onnx.data';
/** 16 layers of 192 MiB and a small vocabulary. */
const LARGE: EncoderShape = { layers: 16, width: 2048, heads: 16, feedForward: 8192, vocabulary: 3000, positions: 512 };

/** `sentence_embedding` [batch, width] of an encoder of 3 GiB, whose weights are external data. */
export const encoderLarge = (): Record<string, Uint8Array | FileWriter> => externalEncoder('encoder-large', LARGE);

/** As `encoder-large`, of any size. */
export function externalEncoder(name: string, shape: EncoderShape): Record<string, Uint8Array | FileWriter> {
  const weights = new ExternalWeights(DATA_FILE);
  const b = new GraphBuilder(name, 'FP32', '', weights);
  const inputs = addTextInputs(b, { mask: true, tokenTypes: false });
  const hidden = addEncoder(b, shape, inputs);
  b.output('sentence_embedding', 'FP32', ['batch', shape.width], addSentenceEmbedding(b, hidden, inputs.mask));
  return {
    'model.onnx': b.encode(),
    [DATA_FILE]: (path) => weights.write(path),
    'model.yaml': Buffer.from('tokenIds: true\n'),
    ...textFiles(shape, 'BertModel'),
  };
}

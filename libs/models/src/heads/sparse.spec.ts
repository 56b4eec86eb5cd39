import type { ModelSignature } from '@app/contracts';
import type { TextManifest } from '../manifest';
import { PLAIN_SPLADE } from '../sentence/splade';
import { sparseHead } from './sparse';

describe('sparseHead', () => {
  it('keeps the weights that are farthest from 0, with their signs', () => {
    const signature: ModelSignature = {
      coalesce: 'padded',
      coalesceReason: null,
      inputs: [],
      outputs: [{ name: 'sparse_embedding', datatype: 'FP32', shape: [-1, 6], axes: [] }],
    };
    const text = { embeddingOutput: null, splade: { ...PLAIN_SPLADE, activeMax: 3 } } as TextManifest;
    const weights = Float32Array.of(1, -5, 0, 3, -2, 0.5);
    const data = new Uint8Array(weights.buffer);
    const result = {
      outputs: [{ name: 'sparse_embedding', datatype: 'FP32' as const, shape: [1, 6], data }],
      timing: { queueUs: 0, runUs: 0, runRows: 1, startedNs: 0 },
    };
    const row = { tokenCount: 1, rowLength: 1, spans: null, ids: [], topK: null, rawScores: false, promptTokens: 0 };
    expect(sparseHead(signature, text).decode(result, row)).toEqual({ indices: [1, 3, 4], values: Float32Array.of(-5, 3, -2) });
  });
});

import { createHash } from 'node:crypto';
import { mkdtempSync, readFileSync, readdirSync, rmSync, statSync, truncateSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import type { InferenceItem, Tensor } from '@app/contracts';
import { OrtBackend } from '../../../test/fixtures/ort-backend';
import { addEncoder, addSentenceEmbedding, addTextInputs } from './encoder';
import { writeModel } from './files';
import { GraphBuilder } from './graph';
import { externalEncoder } from './large-models';
import { buildModels } from './models';

const digests = (folder: string): string[] =>
  readdirSync(folder)
    .sort()
    .map(
      (name) =>
        `${name} ${createHash('sha256')
          .update(readFileSync(join(folder, name)))
          .digest('hex')}`,
    );

const int64 = (name: string, values: bigint[]): Tensor => {
  return { name, datatype: 'INT64', shape: [1, values.length], data: new Uint8Array(BigInt64Array.from(values).buffer) };
};
const ITEM: InferenceItem = { inputs: [int64('input_ids', [2n, 40n, 99n]), int64('attention_mask', [1n, 1n, 1n])], outputs: null };
const outputsOf = (answer: unknown): Tensor[][] => (answer as { outputs: Tensor[] }[]).map(({ outputs }) => outputs);

describe('model builder', () => {
  const root = mkdtempSync(join(tmpdir(), 'model-builder-'));
  afterAll(() => rmSync(root, { recursive: true, force: true }));

  it('writes the same bytes in every run', () => {
    buildModels(join(root, 'a'), ['encoder-tiny']);
    buildModels(join(root, 'b'), ['encoder-tiny']);
    expect(digests(join(root, 'a/encoder-tiny'))).toEqual(digests(join(root, 'b/encoder-tiny')));
  });

  it('builds only what is missing or damaged', () => {
    const out = join(root, 'c');
    expect(buildModels(out, ['encoder-tiny'])).toEqual(['encoder-tiny']);
    expect(buildModels(out, ['encoder-tiny'])).toEqual([]);
    truncateSync(join(out, 'encoder-tiny/config.json'), 3);
    expect(buildModels(out, ['encoder-tiny'])).toEqual(['encoder-tiny']);
  });

  it('writes weights beside the graph that are those within it', async () => {
    const shape = { layers: 1, width: 64, heads: 2, feedForward: 128, vocabulary: 100, positions: 16 };
    const [inside, beside] = ['inside', 'beside'].map((name) => join(root, name, 'model.onnx')) as [string, string];
    const b = new GraphBuilder('same');
    const inputs = addTextInputs(b, { mask: true, tokenTypes: false });
    b.output('sentence_embedding', 'FP32', ['batch', 64], addSentenceEmbedding(b, addEncoder(b, shape, inputs), inputs.mask));
    writeModel(dirname(inside), { 'model.onnx': b.encode() }, '');
    writeModel(dirname(beside), externalEncoder('same', shape), '');
    expect(statSync(beside).size).toBeLessThan(statSync(inside).size / 2);
    const backend = await OrtBackend.load([inside, beside].map((path) => ({ name: path, version: '1', path })));
    const answer = (model: string): Promise<unknown> =>
      backend.infer({ model, version: '1', items: [ITEM], timeoutMs: null, priority: 0, signal: null });
    const [expected, received] = [await answer(inside), await answer(beside)];
    await backend.close();
    expect(expected).toMatchObject([{ outputs: [{ name: 'sentence_embedding' }] }]);
    expect(outputsOf(received)).toEqual(outputsOf(expected));
  });

  it('names the models that exist when asked for another', () => {
    expect(() => buildModels(root, ['nope'])).toThrow(/expected one of encoder-tiny, .* but received "nope"/);
  });
});

import type { InferenceItem, ModelSignature, TensorSpec } from '@app/contracts';
import { decodeResult, encodeItem } from './item-codec';

const spec = (name: string, axes: TensorSpec['axes'], shape: number[], datatype: TensorSpec['datatype'] = 'INT64'): TensorSpec => ({
  name,
  datatype,
  shape,
  axes,
});

const ENCODER: ModelSignature = {
  inputs: [spec('input_ids', ['batch', 'sequence0'], [-1, -1]), spec('attention_mask', ['batch', 'sequence0'], [-1, -1])],
  outputs: [
    spec('last_hidden_state', ['batch', 'sequence0', 'fixed'], [-1, -1, 384], 'FP32'),
    spec('sentence_embedding', ['batch', 'fixed'], [-1, 384], 'FP32'),
  ],
  coalesce: 'padded',
  coalesceReason: null,
};

const tokens = (rows: number, length: number, outputs: string[] | null = null): InferenceItem => ({
  inputs: ['attention_mask', 'input_ids'].map((name) => ({
    name,
    datatype: 'INT64',
    shape: [rows, length],
    data: new Uint8Array(rows * length * 8),
  })),
  outputs,
});

const thrown = (item: InferenceItem, signature = ENCODER): unknown => {
  try {
    return encodeItem(item, signature);
  } catch (error) {
    return error;
  }
};

describe('encodeItem', () => {
  it('replaces names by positions', () => {
    const { inputs, outputs } = encodeItem(tokens(1, 7, ['sentence_embedding']), ENCODER);
    expect(inputs.map(({ index, type, shape }) => ({ index, type, shape }))).toEqual([
      { index: 1, type: 7, shape: [1, 7] },
      { index: 0, type: 7, shape: [1, 7] },
    ]);
    expect(outputs).toEqual([1]);
    expect(encodeItem(tokens(1, 7), ENCODER).outputs).toBeNull();
  });

  it.each([
    [1, 7],
    [3, 128],
    [32, 1],
  ])('sets aside what the outputs of %i rows of length %i take', (rows, length) => {
    const hidden = rows * length * 384 * 4;
    const embedding = rows * 384 * 4;
    const all = encodeItem(tokens(rows, length), ENCODER).responseBytes;
    expect(all).toBeGreaterThanOrEqual(hidden + embedding);
    expect(all).toBeLessThan(hidden + embedding + 2048);
    const one = encodeItem(tokens(rows, length, ['sentence_embedding']), ENCODER).responseBytes;
    expect(one).toBeGreaterThanOrEqual(embedding);
    expect(one).toBeLessThan(embedding + 2048);
  });

  it('sets 64 KiB aside for what it cannot know', () => {
    const free: ModelSignature = {
      ...ENCODER,
      outputs: [spec('entities', ['free', 'fixed'], [-1, 4], 'FP32'), spec('text', ['batch'], [-1], 'BYTES')],
    };
    expect(encodeItem(tokens(1, 1), free).responseBytes).toBeGreaterThanOrEqual(2 * 65_536);
  });

  it('sets aside for strings what their lengths take, or the strings of the inputs up to 1 MiB, and 64 KiB at least', () => {
    const texts: ModelSignature = {
      ...ENCODER,
      inputs: [spec('text', ['batch', 'free'], [-1, -1], 'BYTES')],
      outputs: [spec('out', ['batch', 'fixed'], [-1, 100], 'BYTES')],
    };
    const roomFor = (rows: number, length: number): number => {
      const one = Buffer.alloc(4 + length);
      one.writeUInt32LE(length);
      const data = Buffer.concat(Array<Buffer>(rows).fill(one));
      const { responseBytes, isExact } = encodeItem(
        { inputs: [{ name: 'text', datatype: 'BYTES', shape: [rows, 1], data }], outputs: null },
        texts,
      );
      expect(isExact).toBe(false);
      return responseBytes - 1024 - 160;
    };
    expect(roomFor(5, 0)).toBe(65_536);
    expect(roomFor(5000, 0)).toBe(5000 * 100 * 4);
    expect(roomFor(10, 50_000)).toBe(10 * 50_004);
    expect(roomFor(10, 1_000_000)).toBe(1024 * 1024);
  });

  it('names the field at fault, what was expected and what came', () => {
    const [mask, ids] = tokens(1, 2).inputs as [InferenceItem['inputs'][number], InferenceItem['inputs'][number]];
    const item = (inputs: InferenceItem['inputs'], outputs: string[] | null = null): InferenceItem => ({ inputs, outputs });
    const cases: [InferenceItem, string, RegExp][] = [
      [item([{ ...ids, name: 'ids' }, mask]), 'inputs[0].name', /expected one of input_ids, attention_mask but received "ids"/],
      [item([ids, { ...mask, datatype: 'INT32' }]), 'inputs[1].datatype', /expected INT64 for attention_mask but received INT32/],
      [item([ids]), 'inputs', /expected input attention_mask once but received it 0 times/],
      [item([ids, mask, mask]), 'inputs', /expected input attention_mask once but received it 2 times/],
      [item([{ ...ids, shape: [1, -2] }, mask]), 'inputs[0].shape', /expected at most 8 sizes of 0 or more but received \[1, -2\]/],
      [item([{ ...ids, shape: [1, 1.5] }, mask]), 'inputs[0].shape', /received \[1, 1.5\]/],
      [item([{ ...ids, shape: [2 ** 40, 2 ** 40] }, mask]), 'inputs[0].shape', /but received/],
      [item([{ ...ids, shape: Array<number>(9).fill(1) }, mask]), 'inputs[0].shape', /at most 8/],
      [item([{ ...ids, shape: [1, 3] }, mask]), 'inputs[0]', /16 bytes of data are not 3 elements of INT64/],
      [item([ids, mask], ['pooled']), 'outputs[0].name', /expected one of last_hidden_state, sentence_embedding but received "pooled"/],
    ];
    for (const [bad, param, message] of cases) {
      expect(thrown(bad)).toMatchObject({ code: 'invalid_request', param, message: expect.stringMatching(message) as string });
    }
  });

  it('checks the lengths inside BYTES', () => {
    const signature: ModelSignature = { ...ENCODER, inputs: [spec('text', ['batch'], [-1], 'BYTES')], outputs: [] };
    const strings = (data: number[], count: number): InferenceItem => ({
      inputs: [{ name: 'text', datatype: 'BYTES', shape: [count], data: Uint8Array.from(data) }],
      outputs: null,
    });
    expect(thrown(strings([1, 0, 0, 0, 65, 0, 0, 0, 0], 2), signature)).toMatchObject({ outputs: null });
    for (const bad of [
      strings([1, 0, 0, 0], 1),
      strings([1, 0, 0, 0, 65, 66], 1),
      strings([255, 255, 255, 255, 65], 1),
      strings([0, 0, 0], 1),
      strings([], 2 ** 40),
    ]) {
      expect(thrown(bad, signature)).toMatchObject({ code: 'invalid_request', param: 'inputs[0]' });
    }
  });
});

describe('decodeResult', () => {
  const completion = (index: number, type: number) => ({
    itemId: 1,
    status: 0,
    message: '',
    outputs: [{ index, type, shape: [1, 384], data: new Uint8Array(1536) }],
    timing: { queueUs: 1, runUs: 2, runRows: 3, startedNs: 4 },
  });

  it('names outputs as the signature does', () => {
    expect(decodeResult(completion(1, 1), ENCODER)).toMatchObject({
      outputs: [{ name: 'sentence_embedding', datatype: 'FP32', shape: [1, 384] }],
      timing: { queueUs: 1, runUs: 2, runRows: 3, startedNs: 4 },
    });
  });

  it('gives nothing for what the signature does not have', () => {
    expect(decodeResult(completion(2, 1), ENCODER)).toBeNull();
    expect(decodeResult(completion(1, 99), ENCODER)).toBeNull();
  });
});

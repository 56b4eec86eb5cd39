import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { InterleaveError, numberToFloat16, type ItemResult, type Tensor } from '@app/contracts';
import { joinStrings, OrtBackend } from '../../../test/fixtures/ort-backend';
import { modelPath } from '../../../test/fixtures/served-models';
import { buildModels, MODEL_NAMES } from './models';
import { Random } from './random';

const bytesOf = (array: ArrayBufferView): Uint8Array => new Uint8Array(array.buffer, array.byteOffset, array.byteLength);
const int64 = (name: string, shape: number[], values: number[]): Tensor => ({
  name,
  datatype: 'INT64',
  shape,
  data: bytesOf(BigInt64Array.from(values, BigInt)),
});
const float32 = (name: string, shape: number[], values: number[]): Tensor => ({
  name,
  datatype: 'FP32',
  shape,
  data: bytesOf(Float32Array.from(values)),
});
const floats = (result: ItemResult, name: string): number[] => {
  const data = result.outputs.find((output) => output.name === name)?.data as Uint8Array;
  return Array.from(new Float32Array(Uint8Array.from(data).buffer));
};
const int64s = (result: ItemResult, name: string): number[] => {
  const data = result.outputs.find((output) => output.name === name)?.data as Uint8Array;
  return Array.from(new BigInt64Array(Uint8Array.from(data).buffer), Number);
};
const largestDifference = (a: number[], b: number[]): number => Math.max(...a.map((value, i) => Math.abs(value - (b[i] as number))));

describe('the models that were built', () => {
  const root = mkdtempSync(join(tmpdir(), 'model-run-'));
  let backend: OrtBackend;

  const infer = (model: string, inputs: Tensor[]): Promise<(ItemResult | InterleaveError)[]> =>
    backend.infer({ model, version: '1', items: [{ inputs, outputs: null }], timeoutMs: null, priority: 0, signal: null });
  const run = async (model: string, inputs: Tensor[]): Promise<ItemResult> => {
    const [result] = await infer(model, inputs);
    if (result instanceof InterleaveError || result === undefined) throw result ?? new Error('no result');
    return result;
  };
  /** Rows of token ids as one batch, padded with 0 and masked. */
  const batch = (rows: number[][], prefix = ''): Tensor[] => {
    const length = Math.max(...rows.map((row) => row.length));
    const ids = rows.flatMap((row) => [...row, ...new Array<number>(length - row.length).fill(0)]);
    const mask = rows.flatMap((row) => Array.from({ length }, (_, i) => (i < row.length ? 1 : 0)));
    return [int64(`${prefix}input_ids`, [rows.length, length], ids), int64(`${prefix}attention_mask`, [rows.length, length], mask)];
  };
  const rowsOf = (seed: string, lengths: number[], vocabulary: number): number[][] => {
    const random = new Random(seed);
    return lengths.map((length) => Array.from({ length }, () => random.nextUint32() % vocabulary));
  };

  beforeAll(async () => {
    const names = MODEL_NAMES.filter((name) => name !== 'bfloat16'); // onnxruntime-node does not load that type
    buildModels(root, names);
    backend = await OrtBackend.load(names.map((name) => ({ name, version: '1', path: modelPath(root, name) })));
  });
  afterAll(async () => {
    await backend.close();
    rmSync(root, { recursive: true, force: true });
  });

  it.each(['encoder-tiny', 'encoder-small'])('%s gives a row in a padded batch what it gives the row alone', async (model) => {
    const rows = rowsOf(model, [3, 17, 40], 30_522);
    const together = await run(model, batch(rows));
    const width = (together.outputs[1]?.shape[1] ?? 0) as number;
    for (const [i, row] of rows.entries()) {
      const alone = await run(model, batch([row]));
      const vector = floats(together, 'sentence_embedding').slice(i * width, (i + 1) * width);
      expect(largestDifference(vector, floats(alone, 'sentence_embedding'))).toBeLessThan(1e-5);
      expect(Math.hypot(...vector)).toBeCloseTo(1, 5);
      const hidden = floats(together, 'last_hidden_state').slice(i * 40 * width, (i * 40 + row.length) * width);
      expect(largestDifference(hidden, floats(alone, 'last_hidden_state'))).toBeLessThan(1e-5);
    }
  });

  it('encoders tell texts apart', async () => {
    const result = await run('encoder-tiny', batch(rowsOf('apart', [12, 12], 30_522)));
    const [a, b] = [floats(result, 'sentence_embedding').slice(0, 128), floats(result, 'sentence_embedding').slice(128)];
    expect(a.reduce((sum, value, i) => sum + value * (b[i] as number), 0)).toBeLessThan(0.9);
  });

  it('two-axes pads each axis on its own', async () => {
    const documents = rowsOf('documents', [7, 4], 1000);
    const queries = rowsOf('queries', [2, 5], 1000);
    const together = await run('two-axes', [...batch(documents), ...batch(queries, 'query_')]);
    const alone = await run('two-axes', [...batch([documents[1] as number[]]), ...batch([queries[1] as number[]], 'query_')]);
    expect(together.outputs.map(({ shape }) => shape)).toEqual([[2, 5, 7], [2, 5, 32], [2]]);
    expect(largestDifference(floats(alone, 'score'), floats(together, 'score').slice(1))).toBeLessThan(1e-5);
    expect(largestDifference(floats(alone, 'context'), floats(together, 'context').slice(5 * 32))).toBeLessThan(1e-5);
  });

  it('no-mask changes its answer when a row is padded', async () => {
    const ids = (values: number[]): Tensor[] => [int64('input_ids', [1, values.length], values)];
    const [alone, padded] = [await run('no-mask', ids([5, 6, 7])), await run('no-mask', ids([5, 6, 7, 0]))];
    expect(largestDifference(floats(alone, 'sentence_embedding'), floats(padded, 'sentence_embedding'))).toBeGreaterThan(1e-3);
  });

  it('half works in float16 throughout', async () => {
    const features = bytesOf(Uint16Array.from({ length: 48 }, (_, i) => numberToFloat16(i / 48)));
    const result = await run('half', [
      { name: 'features', datatype: 'FP16', shape: [1, 3, 16], data: features },
      int64('attention_mask', [1, 3], [1, 1, 1]),
    ]);
    expect(result.outputs.map(({ datatype, shape }) => [datatype, shape])).toEqual([
      ['FP16', [1, 3, 16]],
      ['FP16', [1, 16]],
    ]);
  });

  it('strings takes and returns strings', async () => {
    const text: Tensor = { name: 'text', datatype: 'BYTES', shape: [3], data: joinStrings(['yes', 'no', 'größer 😀']) };
    const result = await run('strings', [text]);
    expect(Buffer.from(result.outputs[0]?.data as Uint8Array)).toEqual(Buffer.from(text.data));
    expect(int64s(result, 'label')).toEqual([1, 0, -1]);
  });

  it('types returns every element as it was', async () => {
    const signature = backend.models().find(({ name }) => name === 'types')?.signature;
    const inputs = (signature?.inputs ?? []).map(({ name, datatype }): Tensor => {
      const bytes = { BOOL: 3, INT8: 3, UINT8: 3, INT16: 6, UINT16: 6, FP16: 6, INT32: 12, UINT32: 12, FP32: 12 }[datatype as string] ?? 24;
      const data = datatype === 'BYTES' ? joinStrings(['', 'a', 'ß']) : Uint8Array.from({ length: bytes }, (_, i) => i % 2);
      return { name, datatype, shape: [1, 3], data };
    });
    const result = await run('types', inputs);
    expect(inputs).toHaveLength(13);
    expect(result.outputs.map(({ data }) => [...data])).toEqual(inputs.map(({ data }) => [...data]));
  });

  it('fixed, no-batch, classifier, token-classifier and reranker run', async () => {
    expect((await run('fixed', [float32('image', [2, 3, 8, 8], new Array<number>(384).fill(0.5))])).outputs[0]?.shape).toEqual([2, 5]);
    const sum = await run('no-batch', [float32('x', [2, 3], [1, 2, 3, 4, 5, 6]), float32('y', [3], [10, 20, 30])]);
    expect(floats(sum, 'sum')).toEqual([11, 22, 33, 14, 25, 36]);
    expect((await run('classifier', batch([[2, 9, 3]]))).outputs[0]?.shape).toEqual([1, 3]);
    expect((await run('token-classifier', batch([[2, 9, 3]]))).outputs[0]?.shape).toEqual([1, 3, 5]);
    const pair = [...batch([[2, 9, 3, 8, 3]]), int64('token_type_ids', [1, 5], [0, 0, 0, 1, 1])];
    expect((await run('reranker', pair)).outputs[0]?.shape).toEqual([1, 1]);
  });

  it('endless counts to the largest value, and never ends when one is negative', async () => {
    expect(int64s(await run('endless', [int64('value', [2], [5, 3])]), 'result')).toEqual([10, 8]);
    const stuck = await OrtBackend.load([{ name: 'endless', version: '1', path: modelPath(root, 'endless') }]);
    const items = [{ inputs: [int64('value', [1], [-1])], outputs: null }];
    const never = stuck.infer({ model: 'endless', version: '1', items, timeoutMs: null, priority: 0, signal: null });
    await stuck.close();
    await expect(never).rejects.toThrow('SIGKILL');
  });

  it('crash divides, fails on 0 and kills its process on -1', async () => {
    const fragile = await OrtBackend.load([{ name: 'crash', version: '1', path: modelPath(root, 'crash') }]);
    const divide = (value: number): Promise<(ItemResult | InterleaveError)[]> =>
      fragile.infer({
        model: 'crash',
        version: '1',
        items: [{ inputs: [int64('value', [1], [value])], outputs: null }],
        timeoutMs: null,
        priority: 0,
        signal: null,
      });
    expect(int64s((await divide(-3))[0] as ItemResult, 'quotient')).toEqual([-333]);
    expect((await divide(0))[0]).toBeInstanceOf(InterleaveError);
    if (process.arch === 'x64') await expect(divide(-1)).rejects.toThrow('SIGFPE'); // other processors wrap
  });
});

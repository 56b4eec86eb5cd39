import type { InferenceItem, ItemResult, ModelSignature, Tensor } from '@app/contracts';
import { joinStrings } from '../../../test/fixtures/ort-backend';
import { joinRows, splitRows } from './rows';

const SIGNATURE: ModelSignature = {
  inputs: [{ name: 'text', datatype: 'BYTES', shape: [-1], axes: ['batch'] }],
  outputs: [],
  coalesce: 'padded',
  coalesceReason: null,
};
const texts = (strings: string[]): InferenceItem => ({
  inputs: [{ name: 'text', datatype: 'BYTES', shape: [strings.length], data: joinStrings(strings) }],
  outputs: null,
});
const result = (shape: number[]): ItemResult => {
  const bytes = shape.reduce((product, size) => product * size, 4);
  const output: Tensor = { name: 'spans', datatype: 'FP32', shape, data: new Uint8Array(bytes) };
  return { outputs: [output], timing: { queueUs: 0, runUs: 0, runRows: 1, startedNs: 0 } };
};

describe('rows of an item', () => {
  it('are cut with what each holds, also where texts are empty', () => {
    const rows = splitRows(texts(['one', '', 'three']), SIGNATURE);
    expect(rows.map(({ inputs }) => Buffer.from(inputs[0]?.data ?? []).toString('latin1', 4))).toEqual(['one', '', 'three']);
  });

  it.each([
    ['none', 0],
    ['more than a graph takes', 4097],
  ])('are refused where there are %s', (_, rows) => {
    expect(() => splitRows(texts(Array.from({ length: rows }, () => '')), SIGNATURE)).toThrow(
      `expected 1 to 4096 rows but received ${rows}`,
    );
  });

  it('make no tensor where an output is not one row each', () => {
    expect(joinRows([result([1, 4]), result([1, 4])])).toMatchObject({ outputs: [{ shape: [2, 4] }] });
    expect(joinRows([result([3, 4]), result([3, 4])])).toMatchObject({
      code: 'invalid_request',
      message: expect.stringContaining('"spans"') as string,
    });
  });
});

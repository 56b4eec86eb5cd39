import type { ModelSignature } from '@app/contracts';
import type { OnnxValue } from '@app/onnx-file';
import { exampleInputs, namedInputs } from './example-inputs';

const declared = (name: string, dims: (number | string | null)[]): OnnxValue => ({
  ...{ name, elementType: 1, dims },
  record: { start: 0, end: 0 },
});
const signatureOf = (...inputs: string[]): ModelSignature =>
  ({ inputs: inputs.map((name) => ({ name, datatype: 'FP32', shape: [-1, -1], axes: ['batch', 'free'] })), outputs: [] }) as never;

describe('names of the axes of inputs', () => {
  it('are not those that name nothing, unless model.yaml asks for them', () => {
    const inputs = [declared('a', ['batch', 'unk']), declared('b', ['?', 'dynamic'])];
    expect(namedInputs(inputs, {}).map(({ dims }) => dims)).toEqual([
      ['batch', null],
      [null, null],
    ]);
    expect(namedInputs(inputs, { sequence: 'unk' })[0]?.dims).toEqual(['batch', 'unk']);
  });

  it('are those of model.yaml', () => {
    const inputs = [declared('a', [null, null, 4])];
    expect(namedInputs(inputs, { inputs: { a: ['rows', 'length', null] } })[0]?.dims).toEqual(['rows', 'length', 4]);
  });

  it('give inputs with the same name the same sizes', () => {
    const inputs = namedInputs([declared('a', ['batch', 'length']), declared('b', ['batch', 'length'])], {});
    const { runs, axes, rowAxis } = exampleInputs(signatureOf('a', 'b'), inputs, null);
    expect([rowAxis, axes.map(({ name }) => name)]).toEqual(['batch', ['batch', 'length']]);
    for (const [a, b] of runs) expect(a?.shape).toEqual(b?.shape);
  });
});

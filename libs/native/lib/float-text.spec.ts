import { floatsBytesMax, writeFloats } from './float-text';

const written = (values: Float32Array): string => {
  const target = new Uint8Array(3 + floatsBytesMax(values.length));
  return Buffer.from(target.subarray(3, writeFloats(values, target, 3))).toString('latin1');
};

describe('writeFloats', () => {
  it('writes what JSON.stringify writes, for any bits of a float', () => {
    const bits = new Uint32Array(100_000);
    let state = 12_345;
    for (let i = 0; i < bits.length; i++) {
      state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
      bits[i] = state;
    }
    const values = new Float32Array(bits.buffer);
    expect(written(values)).toBe(JSON.stringify(Array.from(values)));
  });

  it('writes what JSON.stringify writes, for numbers as models give them', () => {
    const values = Float32Array.from({ length: 20_000 }, (_, i) => Math.sin(i) * 10 ** ((i % 60) - 30));
    expect(written(values)).toBe(JSON.stringify(Array.from(values)));
    expect(written(Float32Array.of(0, -0, 1, -1, 1e-7, 16_777_216))).toBe('[0,0,1,-1,1.0000000116860974e-7,16777216]');
    expect(written(new Float32Array(0))).toBe('[]');
  });

  it('takes no target without room', () => {
    expect(() => writeFloats(new Float32Array(4), new Uint8Array(floatsBytesMax(4) - 1), 0)).toThrow(/room for all numbers/);
    expect(() => writeFloats(new Float32Array(1), new Uint8Array(60), 100)).toThrow();
  });
});

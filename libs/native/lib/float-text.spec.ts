import { doublesText, floatsBytesMax, shortFloats, writeFloats } from './float-text';

const written = (values: Float32Array): string => {
  const target = new Uint8Array(3 + floatsBytesMax(values.length));
  return Buffer.from(target.subarray(3, writeFloats(values, target, 3))).toString('latin1');
};

/** Any bits, the same each time. */
function someFloats(count: number): Float32Array {
  const bits = new Uint32Array(count);
  let state = 12_345;
  for (let i = 0; i < bits.length; i++) {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
    bits[i] = state;
  }
  return new Float32Array(bits.buffer);
}

const asFromModels = Float32Array.from({ length: 20_000 }, (_, i) => Math.sin(i) * 10 ** ((i % 60) - 30));

/** Digits of a number without zeros at its ends. */
const digitCount = (value: number): number => value.toExponential().split('e')[0]?.replace(/[-.]/g, '').replace(/0+$/, '').length ?? 0;

/** No number of fewer digits is the same float32. */
function hasFewestDigits(value: number, float: number): boolean {
  const count = digitCount(value);
  return count <= 1 || Math.fround(Number(float.toPrecision(count - 1))) !== float;
}

describe('shortFloats', () => {
  it.each([
    ['any bits', someFloats(100_000).filter(Number.isFinite)],
    ['numbers as models give them', asFromModels],
  ])('gives the same float32 with the fewest digits: %s', (_, values) => {
    const numbers = shortFloats(values);
    expect(Float32Array.from(numbers)).toEqual(values);
    expect(numbers.filter((number, i) => !hasFewestDigits(number, values[i] as number))).toEqual([]);
  });

  it('keeps what is no number', () => {
    expect(shortFloats(Float32Array.of(0.1, -0, NaN, -Infinity))).toEqual([0.1, -0, NaN, -Infinity]);
  });
});

describe('writeFloats', () => {
  it.each([
    ['any bits', someFloats(100_000)],
    ['numbers as models give them', asFromModels],
  ])('writes what JSON.stringify writes of the short numbers: %s', (_, values) => {
    expect(written(values)).toBe(JSON.stringify(shortFloats(values)));
  });

  it('writes whole numbers, powers of ten, and nothing', () => {
    expect(written(Float32Array.of(0, -0, 1, -1, 0.1, 1e-7, 16_777_216, 1e20, 1e21))).toBe(
      '[0,0,1,-1,0.1,1e-7,16777216,100000000000000000000,1e+21]',
    );
    expect(written(new Float32Array(0))).toBe('[]');
  });

  it('takes no target without room', () => {
    expect(() => writeFloats(new Float32Array(4), new Uint8Array(floatsBytesMax(4) - 1), 0)).toThrow(/room for all numbers/);
    expect(() => writeFloats(new Float32Array(1), new Uint8Array(60), 100)).toThrow();
  });
});

describe('doublesText', () => {
  const someDoubles = new Float64Array(someFloats(100_000).buffer);

  it.each([
    ['any float32', someFloats(100_000).filter(Number.isFinite)],
    ['any double', someDoubles.filter(Number.isFinite)],
    ['numbers as models give them', asFromModels],
    ['as many as are written at once', asFromModels.subarray(0, 256)],
    ['one more', asFromModels.subarray(0, 257)],
    ['the longest', Float64Array.of(-2.2250738585072014e-308, -1.7976931348623157e308, 5e-324)],
    ['nothing', new Float32Array(0)],
  ])('gives the same doubles again: %s', (_, values) => {
    expect(JSON.parse(doublesText(values) ?? '')).toEqual(Array.from(values));
  });

  it('has no more digits than the double needs, and the sign of zero', () => {
    expect(doublesText(Float32Array.of(0.1, 0, -0, 3, -1.5))).toBe('[0.10000000149011612,0,-0.0,3,-1.5]');
    expect(doublesText(Float64Array.of(0.1))).toBe('[0.1]');
  });

  it('has no text for what JSON cannot carry, and takes nothing else', () => {
    for (const value of [NaN, Infinity, -Infinity]) expect(doublesText(Float64Array.of(1, value))).toBeNull();
    expect(() => doublesText(new Int32Array(1) as never)).toThrow(TypeError);
  });
});

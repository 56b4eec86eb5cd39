import * as fc from 'fast-check';
import { InterleaveError } from '@app/contracts';
import { loadConfig } from '@app/config';
import { checkJsonBounds, checkJsonBoundsInSlices, jsonLimits, type JsonLimits } from '.';

const limits = jsonLimits(loadConfig({}).http);
const none: JsonLimits = { bytesMax: 1e9, valuesMax: 1e9, stringsMax: 1e9, keysMax: 1e9, depthMax: 1e9, numberCharactersMax: 1e9 };
const check = (
  text: string,
  changed: Partial<JsonLimits> = {},
): { values: number; strings: number; keys: number; wideIntegers: number[] } => {
  const { values, strings, keys, wideIntegers } = checkJsonBounds(Buffer.from(text), { ...none, ...changed });
  return { values, strings, keys, wideIntegers };
};
const refusal = (text: string, changed: Partial<JsonLimits>): InterleaveError => {
  try {
    check(text, changed);
  } catch (error) {
    return error as InterleaveError;
  }
  throw new Error(`accepted ${text.slice(0, 80)}`);
};

interface Counted {
  values: number;
  strings: number;
  keys: number;
  depth: number;
}

/** The same figures from the parsed value. */
function count(value: unknown, depth = 1): Counted {
  const sum = { values: 1, strings: typeof value === 'string' ? 1 : 0, keys: 0, depth: 0 };
  if (typeof value !== 'object' || value === null) return sum;
  sum.depth = depth;
  if (!Array.isArray(value)) sum.keys = Object.keys(value).length;
  for (const child of Object.values(value)) {
    const own = count(child, depth + 1);
    sum.values += own.values;
    sum.strings += own.strings;
    sum.keys += own.keys;
    sum.depth = Math.max(sum.depth, own.depth);
  }
  return sum;
}

/** Strings in which quotes, backslashes and what looks like JSON are frequent, short and long. */
const nastyString = fc.oneof(
  fc.string({ unit: fc.constantFrom('"', '\\', ':', ',', '{', ']', '1', ' ', '\n', 'é', '中'), maxLength: 300 }),
  fc.tuple(fc.nat(200), fc.nat(200)).map(([letters, slashes]) => `${'a'.repeat(letters)}${'\\'.repeat(slashes)}`),
);
const nastyJson = fc.letrec((tie) => ({
  value: fc.oneof(
    { maxDepth: 4 },
    nastyString,
    fc.double({ min: -1e15, max: 1e15, noNaN: true }),
    fc.constantFrom(true, false, null),
    tie('list'),
    tie('record'),
  ),
  list: fc.array(tie('value'), { maxLength: 6 }),
  record: fc.dictionary(nastyString, tie('value'), { maxKeys: 6 }),
})).value;

describe('checkJsonBounds', () => {
  it('counts what JSON.parse will find, for any spacing', () => {
    fc.assert(
      fc.property(nastyJson, fc.constantFrom(undefined, 2, '\t'), (value, space) => {
        const text = JSON.stringify(value, null, space);
        const { values, strings, keys, depth } = count(JSON.parse(text));
        expect(check(text)).toMatchObject({ values, strings, keys });
        const exact = {
          bytesMax: Buffer.byteLength(text),
          valuesMax: values,
          stringsMax: strings,
          keysMax: keys,
          depthMax: depth,
          numberCharactersMax: 32,
        };
        expect(check(text, exact)).toMatchObject({ values, strings, keys });
        for (const key of ['bytesMax', 'valuesMax', 'stringsMax', 'keysMax', 'depthMax'] as const) {
          if (exact[key] > 0) expect(() => check(text, { ...exact, [key]: exact[key] - 1 })).toThrow(InterleaveError);
        }
      }),
      { numRuns: 300 },
    );
  });

  it('says where integers are that 64 bits could hold and a double could not', () => {
    const text =
      '["9007199254740993", 9007199254740993, -18446744073709551615, 123456789012345678901, 1234567890123456.0, 12345678901234567e1, 1.5e300, 1234567890123456]';
    expect(check(text).wideIntegers).toEqual([21, 37, 39, 60]);
  });

  const refusals: [string, string, Partial<JsonLimits>, string, RegExp][] = [
    ['bytes', '[1]', { bytesMax: 2 }, 'too_large', /at most 2 bytes of JSON but received 3 \(http\.jsonBytesMax\)/],
    ['values', '[1,2]', { valuesMax: 2 }, 'invalid_request', /at most 2 values .*http\.jsonValuesMax/],
    ['strings', '["a","b"]', { stringsMax: 1 }, 'invalid_request', /at most 1 strings and integers beyond 2\^53 .*http\.jsonStringsMax/],
    ['wide integers', '[9007199254740993,-9007199254740993]', { stringsMax: 1 }, 'invalid_request', /http\.jsonStringsMax/],
    ['keys', '[{"a":1},{"a" :2}]', { keysMax: 1 }, 'invalid_request', /at most 1 keys .*http\.jsonKeysMax/],
    ['levels', '[[{"a":[]}]]', { depthMax: 3 }, 'invalid_request', /at most 3 levels .*http\.jsonDepthMax/],
    ['digits', '[12345]', { numberCharactersMax: 4 }, 'invalid_request', /numbers of at most 4 characters/],
    ['digits after a sign', '-12345', { numberCharactersMax: 4 }, 'invalid_request', /numbers of at most 4/],
    ['digits after a point', '1.2345', { numberCharactersMax: 4 }, 'invalid_request', /numbers of at most 4/],
    ['exponents', '1e0000000', { numberCharactersMax: 4 }, 'invalid_request', /numbers of at most 4/],
  ];
  it.each(refusals)('refuses too many %s', (_, text, changed, code, message) => {
    const error = refusal(text, changed);
    expect(error.code).toBe(code);
    expect(error.message).toMatch(message);
  });

  it('refuses with the default limits what would hold the event loop', () => {
    const hostile = {
      keys: `{${Array.from({ length: 100_000 }, (_, i) => `"${i}":1`).join()}}`,
      values: `[${'1,'.repeat(1_000_000)}1]`,
      strings: `[${'"",'.repeat(100_000)}1]`,
      levels: '['.repeat(1_000_000),
      digits: '1'.repeat(1_000_000),
      bytes: `"${'a'.repeat(9_000_000)}"`,
    };
    for (const text of Object.values(hostile)) expect(() => checkJsonBounds(Buffer.from(text), limits)).toThrow(InterleaveError);
  });

  it('lets large honest bodies pass', () => {
    const image = JSON.stringify({
      inputs: [{ name: 'x', datatype: 'FP32', shape: [1, 3, 224, 224], data: Array.from({ length: 3 * 224 * 224 }, (_, i) => i / 7) }],
    });
    const texts = JSON.stringify({
      instances: Array.from({ length: 2048 }, () => ({ text: 'word '.repeat(300), text_pair: 'word '.repeat(300) })),
    });
    for (const text of [image, texts]) expect(checkJsonBounds(Buffer.from(text), limits).values).toBeGreaterThan(0);
  });

  it.each(['"', '"\\', '"a\\"', '{"a"', '[1', 'tru', '-', `"${'\\'.repeat(1001)}"`, ']]]', ':::', '\ufeff{}', '"a" "b" : 1'])(
    'gets to the end of %s, which is no JSON',
    (text) => {
      expect(() => check(text)).not.toThrow();
    },
  );

  it('finds the same in slices', async () => {
    const text = JSON.stringify(
      Array.from({ length: 20_000 }, (_, i) => ({ [`key ${i}\\`]: 'a"'.repeat(20), n: 9007199254740993n.toString() })),
    );
    const { values, strings, keys, wideIntegers } = await checkJsonBoundsInSlices(Buffer.from(text), none);
    expect({ values, strings, keys, wideIntegers }).toEqual(check(text));
    await expect(checkJsonBoundsInSlices(Buffer.from(text), limits)).rejects.toThrow(/http\.jsonKeysMax/);
  });
});

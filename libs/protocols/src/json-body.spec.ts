import * as fc from 'fast-check';
import { InterleaveError } from '@app/contracts';
import { loadConfig } from '@app/config';
import { jsonLimits, parseJsonBody, parseJsonBodyInSlices } from '.';

const limits = jsonLimits(loadConfig({}).http);
const parse = (text: string): unknown => parseJsonBody(Buffer.from(text), limits);
const fault = (text: string): { message: string; param: string | null } => {
  try {
    parse(text);
  } catch (error) {
    if (error instanceof InterleaveError) return { message: error.message, param: error.param };
    throw error;
  }
  throw new Error(`accepted ${text}`);
};

describe('parseJsonBody', () => {
  it.each([
    '{"a": [1, 2.5, -3e10, true, null, "x"]}',
    '[9007199254740991, 100000000000000000000000, -0]',
    '[0.10000000149011612, 1.2345678901234567e-5, 12345678901234567.0, 12345678901234567e3]', // not integers
    '[1e23, 0e400, 0.000e-5, 1.000000, 10.50e1, 0.9999999999999999, 1.0000000000000002, 0.0000001, 4503599627370495.5, 1000e-3]',
    '"12345678901234567"',
    '{"id": "order 12345678901234567 of 99999999999999999"}',
    '{"a\\"b": 1, "c\\\\": 2, "d": "\\\\\\"12345678901234567\\": 1"}',
    '{"a": {"a": {"a": 1}}, "b": [{"a": 1}, {"a": 2}]}',
    '{"x": "y\\":", "z": ":"}',
    ' \n\t{ "a" :\n1 } ',
  ])('reads %s as JSON.parse does', (text) => {
    expect(parse(text)).toEqual(JSON.parse(text));
  });

  it.each<[string, unknown]>([
    ['9007199254740993', 9007199254740993n],
    ['9007199254740992', 9007199254740992n],
    ['{"s": "12345678901234567", "a": {"b": -12345678901234567}}', { s: '12345678901234567', a: { b: -12345678901234567n } }],
    ['["é中😀",[1152921504606846976],[2,18446744073709551615,"x"]]', ['é中😀', [1152921504606846976n], [2, 18446744073709551615n, 'x']]],
    ['[99999999999999999999]', [99999999999999999999n]],
    ['{"1": 12345678901234567, "0": "#12345678901234567"}', { 1: 12345678901234567n, 0: '#12345678901234567' }],
  ])('reads %s digit by digit', (text, value) => {
    expect(parse(text)).toEqual(value);
    expect(parse(`\ufeff${text}`)).toEqual(value);
  });

  it.each(['4503599627370497.5', '0.99999999999999999999999', '-1.00000000000000000001', '1e-400', '123456789012.00000000000001'])(
    'refuses %s, which a double takes for an integer',
    (text) => {
      expect(fault(text).message).toMatch(
        /^expected a number that a double can hold but received .*, which would become -?\d+; send -?\d+, or fewer digits$/,
      );
    },
  );

  it.each([
    ['{"a": 1, "a": 2}', 'a'],
    ['{"a": {"b": [{"c": 1, "d": 2, "c": 3}]}}', 'a.b[0].c'],
    ['{"a": 1, "\\u0061": 2}', 'a'],
    ['{"a\\\\": 1, "b": 2, "b": 3}', 'b'],
    ['{"a\\\\": 1, "a\\\\": 3}', 'a\\'],
  ])('refuses a repeated key in %s', (text, path) => {
    expect(fault(text)).toEqual({ message: `expected each key once but ${path} occurs twice`, param: path });
  });

  it.each([
    ['nothing', '', /it is empty/],
    ['half an object', '{"a": 1', /cannot be parsed/],
    ['a wide integer for a key', '{12345678901234567890: 1}', /cannot be parsed: Expected property name .* JSON at position 1/],
    ['a wide integer for a key beside a repeated key', '{"a":1,"a":2,12345678901234567890:3}', /cannot be parsed: .*position 13/],
    ['a fault before a wide integer', '[,12345678901234567890]', /cannot be parsed: Unexpected token ',', "\[,123/],
    ['NaN', '{"a": NaN}', /expected a value that JSON has for a but received "NaN"/],
    ['Infinity far down', '{"a": [{"b": "NaN"}, {"b": [1, true, -Infinity, NaN]}]}', /for a\[1\]\.b\[2\] but received "-Infinity"/],
    ['None', '[None]', /for \[0\] but received "None"/],
    ['a word alone', 'hello', /for the body but received "hello"/],
    ['__proto__', '{"__proto__": {"x": 1}}', /"__proto__"/],
    ['__proto__ further down', '{"a": [{"__proto__": 1}]}', /"__proto__"/],
    ['65 levels', `${'['.repeat(65)}${']'.repeat(65)}`, /at most 64 levels/],
    ['a hundred thousand levels', `${'['.repeat(100_000)}${']'.repeat(100_000)}`, /at most 64 levels/],
  ])('refuses %s', (_, text, message) => {
    expect(fault(text).message).toMatch(message);
  });

  it('holds both forms to the limits', async () => {
    const bytes = Buffer.from('[[1]]');
    expect(() => parseJsonBody(bytes, { ...limits, depthMax: 1 })).toThrow(/http\.jsonDepthMax/);
    await expect(parseJsonBodyInSlices(bytes, { ...limits, depthMax: 1 })).rejects.toThrow(/http\.jsonDepthMax/);
    await expect(parseJsonBodyInSlices(bytes, limits)).resolves.toEqual([[1]]);
  });

  it('refuses bytes that are not UTF-8', () => {
    expect(() => parseJsonBody(Uint8Array.of(0x22, 0xff, 0x22), limits)).toThrow(/not valid UTF-8/);
  });

  it('gives what JSON.parse gives for every value without long integers', () => {
    fc.assert(
      fc.property(fc.jsonValue({ noUnicodeString: false }), (value) => {
        fc.pre(!/__proto__|\d{16}/.test(JSON.stringify(value)));
        expect(parse(JSON.stringify(value))).toEqual(JSON.parse(JSON.stringify(value)));
      }),
    );
  });

  it('finds a repeated key wherever it is', () => {
    const key = fc.string({ unit: 'binary', maxLength: 8 }).filter((text) => text !== '__proto__');
    fc.assert(
      fc.property(key, fc.jsonValue(), fc.jsonValue(), fc.array(fc.integer(), { maxLength: 3 }), (name, a, b, around) => {
        fc.pre(!/__proto__|\d{16}/.test(JSON.stringify([name, a, b])));
        const object = `{${JSON.stringify(name)}: ${JSON.stringify(a)}, ${JSON.stringify(name)}: ${JSON.stringify(b)}}`;
        expect(fault(`[${[...around, object].join(', ')}]`).message).toMatch(/occurs twice/s);
      }),
    );
  });
});

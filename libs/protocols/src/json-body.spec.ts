import * as fc from 'fast-check';
import { InterleaveError } from '@app/contracts';
import { parseJsonBody } from '.';

const parse = (text: string): unknown => parseJsonBody(Buffer.from(text));
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
    '9007199254740992',
    '[10000000000000000, 100000000000000000000]', // beyond 2^53 but exact
    '[0.10000000149011612, 1.2345678901234567e-5, 12345678901234567.0, 12345678901234567e3]', // not integers
    '"12345678901234567"',
    '{"id": "order 12345678901234567 of 99999999999999999"}',
    '{"a\\"b": 1, "c\\\\": 2, "d": "\\\\\\"12345678901234567\\": 1"}',
    '{"a": {"a": {"a": 1}}, "b": [{"a": 1}, {"a": 2}]}',
    '{"x": "y\\":", "z": ":"}',
    ' \n\t{ "a" :\n1 } ',
  ])('reads %s as JSON.parse does', (text) => {
    expect(parse(text)).toEqual(JSON.parse(text));
  });

  it.each([
    ['9007199254740993', '', '9007199254740993'],
    ['{"inputs": [{"data": [1, 2, 12345678901234567]}]}', 'inputs[0].data[2]', '12345678901234567'],
    ['{"s": "12345678901234567", "a": {"b": -12345678901234567}}', 'a.b', '-12345678901234567'],
    ['[[1],[2,18446744073709551615]]', '[1][1]', '18446744073709551615'],
    [`[${'9'.repeat(400)}]`, '[0]', '9999999999'],
  ])('refuses the rounding of %s and says where', (text, path, digits) => {
    const { message, param } = fault(text);
    expect(param).toBe(path);
    expect(message).toContain(`received ${digits}`);
  });

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
    ['NaN', '{"a": NaN}', /cannot be parsed/],
    ['Infinity', '{"a": Infinity}', /cannot be parsed/],
    ['__proto__', '{"__proto__": {"x": 1}}', /"__proto__"/],
    ['__proto__ further down', '{"a": [{"__proto__": 1}]}', /"__proto__"/],
    ['65 levels', `${'['.repeat(65)}${']'.repeat(65)}`, /at most 64 levels/],
    ['a hundred thousand levels', `${'['.repeat(100_000)}${']'.repeat(100_000)}`, /at most 64 levels/],
  ])('refuses %s', (_, text, message) => {
    expect(fault(text).message).toMatch(message);
  });

  it('refuses bytes that are not UTF-8', () => {
    expect(() => parseJsonBody(Uint8Array.of(0x22, 0xff, 0x22))).toThrow(/not valid UTF-8/);
  });

  it('gives what JSON.parse gives for every value without rounded integers', () => {
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

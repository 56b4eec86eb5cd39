import { jsonLine } from './json-line';

/** What Python's `str.splitlines` splits at. */
const LINE_ENDS = /[\n\v\f\r\u001c-\u001e\u0085\u2028\u2029]/;
const TEXT = 'a\n\v\f\r\u001c\u001d\u001e\u0085\u2028\u2029b \u{1F600}\\u2028';

describe('a line of JSON Lines', () => {
  it('writes strings as JSON does', () => {
    const characters = Array.from({ length: 0x180 }, (_, code) => String.fromCharCode(code)).filter((one) => one !== '\u0085');
    for (const one of ['', 'row-1', '#1', ...characters, ...characters.map((character) => `a${character}b`)])
      expect(jsonLine(one)).toBe(JSON.stringify(one));
  });

  it('has no line end of any reader inside, in keys and values, and says the same', () => {
    const line = jsonLine({ [TEXT]: [TEXT] });
    expect(line).not.toMatch(LINE_ENDS);
    expect(JSON.parse(line)).toEqual({ [TEXT]: [TEXT] });
  });
});

import { spellingOf } from './json-spelling';

const isIn = (text: string, json: string): boolean => spellingOf(text).isIn(Buffer.from(json));
const asUnits = (text: string, digits: (hex: string) => string): string =>
  `"${Array.from({ length: text.length }, (_, at) => `\\u${digits(text.charCodeAt(at).toString(16).padStart(4, '0'))}`).join('')}"`;

describe('a text in JSON', () => {
  it.each([
    ['PHP', 'doc/12', '"doc\\/12"'],
    ['Go', 'a&b', '"a\\u0026b"'],
    ['.NET', 'é', '"\\u00E9"'],
    ['Python', 'é', '"\\u00e9"'],
    ['nobody', 'é', '"é"'],
    ['who mixes both', 'éü', '"é\\u00Fc"'],
    ['who escapes a quote by its number', '"', '"\\u0022"'],
    ['Go, of a line separator', '\u2028', '"\\u2028"'],
  ])('is found as %s escapes it', (_, text, json) => {
    expect(JSON.parse(json)).toBe(text);
    expect(isIn(text, `{"custom_id":${json}}`)).toBe(true);
  });

  it('is found however its characters are spelled', () => {
    const text = 'aZ09 .*+?^${}()|[]-/\\"\b\f\n\r\t\u0001\u007f\u0080éÿ\u2028\ud800😀';
    for (const json of [JSON.stringify(text), asUnits(text, (hex) => hex), asUnits(text, (hex) => hex.toUpperCase())]) {
      expect(JSON.parse(json)).toBe(text);
      expect(isIn(text, json)).toBe(true);
    }
    const longest = '😀'.repeat(256);
    expect([
      isIn(
        longest,
        asUnits(longest, (hex) => hex),
      ),
      isIn(
        longest,
        asUnits(longest.slice(2), (hex) => hex),
      ),
    ]).toEqual([true, false]);
  });

  it('is no other text', () => {
    for (const json of ['"axb"', '"a.bc"', '"a\\u002fb"', '"a\\\\u002eb"', '"A.b"', '"a.b\\""', '"a\\\\.b"']) {
      expect(JSON.parse(json)).not.toBe('a.b');
      expect(isIn('a.b', json)).toBe(false);
    }
  });
});

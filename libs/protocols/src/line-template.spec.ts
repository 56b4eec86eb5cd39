import fc from 'fast-check';
import { checkBatchLine, jsonLimits, LineTemplate, parseJsonBody } from '.';

const SETTINGS = { jsonBytesMax: 4096, jsonValuesMax: 100, jsonStringsMax: 100, jsonKeysMax: 20, jsonDepthMax: 8 };
const LIMITS = jsonLimits(SETTINGS);
const URL = '/v1/embeddings';

const lineOf = (customId: unknown, input: unknown, more: object = {}): object => ({
  custom_id: customId,
  method: 'POST',
  url: URL,
  body: { model: 'm', input, ...more },
});
const bytesOf = (line: object, space?: string): Buffer => Buffer.from(JSON.stringify(line, null, space).replaceAll('\n', ' '));
const template = (line: Buffer): LineTemplate | null => LineTemplate.of(line, 'embeddings', URL, LIMITS);

/** What the parser makes of a line; null: it refuses it. */
function parsed(line: Buffer): { customId: string; text: unknown } | null {
  try {
    const { customId, body } = checkBatchLine(parseJsonBody(line, LIMITS), URL);
    return { customId, text: (body as { input: unknown }).input };
  } catch {
    return null;
  }
}

describe('LineTemplate', () => {
  it('reads lines as the parser does, or leaves them to it', () => {
    const strings = fc.oneof(
      fc.string({ unit: 'binary' }),
      fc.string(),
      fc.constantFrom('', '"', '\\', 'POST', 'custom_id', '\u2028', 'x'.repeat(513)),
    );
    let matches = 0;
    fc.assert(
      fc.property(
        strings,
        strings,
        fc.constantFrom('', ' '),
        fc.constantFrom({}, { dimensions: 9007199254740993n.toString() }),
        (id, text, space, more) => {
          const made = template(bytesOf(lineOf('first', 'the text', more), space));
          const line = bytesOf(lineOf(id, text, more), space);
          const parts = made?.match(line) ?? null;
          if (parts === null) return;
          matches += 1;
          expect(parts).toEqual(parsed(line));
        },
      ),
      { numRuns: 2000 },
    );
    expect(matches).toBeGreaterThan(300);
  });

  it('takes no line that the parser refuses, whatever one byte is', () => {
    const made = template(bytesOf(lineOf('first', 'the text')));
    const good = bytesOf(lineOf('row-7', 'grüße \u{1F600}'));
    for (let at = 0; at < good.length; at++) {
      for (let byte = 0; byte < 256; byte++) {
        const line = Buffer.from(good);
        line[at] = byte;
        const parts = made?.match(line) ?? null;
        if (parts !== null) expect(parts).toEqual(parsed(line));
      }
    }
  });

  it('is as long as the limit allows, and no longer', () => {
    const made = template(bytesOf(lineOf('first', 'the text')));
    const around = bytesOf(lineOf('b', '')).length;
    expect(made?.match(bytesOf(lineOf('b', 'x'.repeat(4096 - around))))).not.toBeNull();
    expect(made?.match(bytesOf(lineOf('b', 'x'.repeat(4097 - around))))).toBeNull();
  });

  it.each([
    ['equal strings', bytesOf(lineOf('same', 'same'))],
    ['an id that is elsewhere', bytesOf(lineOf('POST', 'the text'))],
    ['escapes around', Buffer.from(bytesOf(lineOf('a', 'the text')).toString().replace('"model"', '"\\u006dodel"'))],
    ['a key twice', Buffer.from(bytesOf(lineOf('a', 'the text')).toString().replace('"model":"m"', '"model":"m","model":"m"'))],
    ['another url', bytesOf({ ...lineOf('a', 'the text'), url: '/v1/classify' })],
    ['texts', bytesOf(lineOf('a', ['the text']))],
    ['no JSON', Buffer.from('{"custom_id":"a"')],
  ])('is not made of a line with %s', (_, line) => {
    expect(template(line)).toBeNull();
  });

  it('finds the text where it is, not where it looks like it', () => {
    const line = Buffer.from(`{"body":{"input":"the text","user":"a"},"url":"${URL}","method":"POST","custom_id":"first"}`);
    const next = Buffer.from(`{"body":{"input":"other","user":"a"},"url":"${URL}","method":"POST","custom_id":"b"}`);
    expect(template(line)?.match(next)).toEqual({ customId: 'b', text: 'other' });
  });
});

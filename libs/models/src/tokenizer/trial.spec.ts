import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { TextTokenizer } from '../tokenizer';
import { runTrials } from './trial';

const CL100K =
  "(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\\r\\n\\p{L}\\p{N}]?\\p{L}+|\\p{N}{1,3}| ?[^\\s\\p{L}\\p{N}]+[\\r\\n]*|\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+";
const split = (pattern: string): object => ({
  pre_tokenizer: { type: 'Split', pattern: { Regex: pattern }, behavior: 'Isolated', invert: false },
});
const definition = (changes: object = {}): object => ({
  version: '1.0',
  truncation: null,
  padding: null,
  added_tokens: [],
  normalizer: null,
  pre_tokenizer: null,
  post_processor: null,
  decoder: null,
  model: { type: 'WordLevel', vocab: { '[UNK]': 0, a: 1 }, unk_token: '[UNK]' },
  ...changes,
});

describe('a tokenizer that ends the process that uses it', () => {
  const root = mkdtempSync(join(tmpdir(), 'trial-'));
  afterAll(() => rmSync(root, { recursive: true, force: true }));
  const load = (content: string): Promise<TextTokenizer> => {
    const path = join(root, 'tokenizer.json');
    writeFileSync(path, content);
    return TextTokenizer.load(path);
  };

  it.each([
    ['by pieces of no length', definition({ pre_tokenizer: { type: 'FixedLength', length: 0 } }), /chunk size must be non-zero/],
    ['by the square of a text', definition(split('a*a*$')), /retry-limit-in-match over/],
  ])('is refused: %s', async (_, content, message) => {
    const error = await load(JSON.stringify(content)).then(
      () => null,
      (reason: Error) => reason,
    );
    expect(error?.message).toMatch(message);
    expect(error?.message).toContain('tokenizer.json: ');
  });

  it('leaves the next ones alone', async () => {
    const bad = { content: JSON.stringify(definition({ pre_tokenizer: { type: 'FixedLength', length: 0 } })), texts: ['a', 'b'] };
    const good = { content: JSON.stringify(definition(split(CL100K))), texts: ['a', 'b'] };
    const outcomes = await Promise.allSettled([bad, good, bad, good].map((trial) => runTrials([trial])));
    expect(outcomes.map(({ status }) => status)).toEqual(['rejected', 'fulfilled', 'rejected', 'fulfilled']);
    expect(await load(good.content)).toBeInstanceOf(TextTokenizer);
  });
});

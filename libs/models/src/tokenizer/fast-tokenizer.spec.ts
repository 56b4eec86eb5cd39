import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import fc from 'fast-check';
import { textsFor, tokenizerDefinition, type TokenizerDefinition } from '../../../../test/fixtures/tokenizer-definitions';
import { ModelFileError } from '../hugging-face';
import { TextTokenizer } from '../tokenizer';

const SEED = Number(process.env['TOKENIZER_SEED'] ?? 11);
const DEFINITIONS = Number(process.env['TOKENIZER_DEFINITIONS'] ?? 50);
const TEXTS = 40;

describe('FastTokenizer', () => {
  const root = mkdtempSync(join(tmpdir(), 'fast-tokenizer-'));
  afterAll(() => rmSync(root, { recursive: true, force: true }));

  const load = (definition: object): Promise<TextTokenizer> => {
    const path = join(root, 'tokenizer.json');
    writeFileSync(path, JSON.stringify(definition));
    return TextTokenizer.load(path);
  };

  /** Each text alone and each with the next one as its pair; the short path and, with spans, the Rust tokenizer. */
  const differences = async (tokenizer: TextTokenizer, texts: string[]): Promise<object[]> => {
    const rows = texts.flatMap((text, i) => [
      { text, pair: null },
      { text, pair: texts[i + 1] ?? 'a' },
    ]);
    const thorough = await Promise.all(rows.map(async (row) => (await tokenizer.encode([row], { spans: true }).catch(() => []))[0]));
    const short = await Promise.all(rows.map(async (row) => (await tokenizer.encode([row], { spans: false }).catch(() => []))[0]));
    return rows.flatMap((row, i) => {
      const [expected, received] = [thorough[i], short[i]];
      const isSame = expected?.ids.join() === received?.ids.join() && expected?.typeIds.join() === received?.typeIds.join();
      return isSame ? [] : [{ row, expected: expected?.ids, received: received?.ids }];
    });
  };

  it('has a fast path only where any text gets the tokens that the Rust tokenizer gives it', async () => {
    const counts = { fast: 0, loaded: 0 };
    const check = async (definition: TokenizerDefinition): Promise<void> => {
      const tokenizer = await load(definition).catch((error: unknown) => error as Error);
      if (!(tokenizer instanceof TextTokenizer)) return expect(tokenizer).toBeInstanceOf(ModelFileError);
      counts.loaded += 1;
      if (!tokenizer.hasFastPath) return;
      counts.fast += 1;
      const texts = fc.sample(textsFor(definition), { numRuns: TEXTS, seed: SEED });
      expect(await differences(tokenizer, texts)).toEqual([]);
    };
    await fc.assert(fc.asyncProperty(tokenizerDefinition, check), { seed: SEED, numRuns: DEFINITIONS, endOnFailure: true });
    expect(counts.fast / counts.loaded).toBeGreaterThan(0.2);
    expect(counts.fast / counts.loaded).toBeLessThan(0.8);
  });
});

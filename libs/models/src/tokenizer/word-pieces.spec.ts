import type { FastDefinition } from './fast-definition';
import { WordPieces } from './word-pieces';

const definition = (vocab: Record<string, number>, { lowercase = false, prefix = '##', charactersMax = 8 } = {}): FastDefinition =>
  ({
    normalizer: { type: 'BertNormalizer', lowercase },
    model: { type: 'WordPiece', vocab, unk_token: '?', continuing_subword_prefix: prefix, max_input_chars_per_word: charactersMax },
  }) as unknown as FastDefinition;

const VOCABULARY = { '?': 0, un: 1, unhappy: 2, '##hap': 3, '##py': 4, '!': 5, Un: 6, '##ü': 7, '': 8, '##': 9, '##x': 10 };

function idsOf(text: string, options = {}): number[] | null {
  const ids = [100];
  return WordPieces.of(definition(VOCABULARY, options))?.append(text, ids) === true ? ids.slice(1) : null;
}

describe('WordPieces', () => {
  it('takes the longest piece first, and what continues it', () => {
    expect(idsOf('un unhappy unhappyx unhappx')).toEqual([1, 2, 2, 10, 0]);
    expect(idsOf('unhapx\tun!un\r\n!')).toEqual([1, 3, 10, 1, 5, 1, 5]);
  });

  it('has one unknown token for a word with a part that is no piece, or with too many characters', () => {
    expect(idsOf('un unz z unhappyxx unhappy')).toEqual([1, 0, 0, 0, 2]);
  });

  it('folds letters only where the tokenizer does', () => {
    expect(idsOf('Un UN')).toEqual([6, 0]);
    expect(idsOf('Un UN', { lowercase: true })).toEqual([1, 1]);
  });

  it('lets pieces without a prefix continue where there is none', () => {
    expect(idsOf('ununhappy unUn', { prefix: '', charactersMax: 20 })).toEqual([1, 2, 1, 6]);
  });

  it('is not for other characters', () => {
    for (const text of ['unü', 'un\u0001', 'un\u007f', 'un\ud800', '語']) expect(idsOf(text)).toBeNull();
    expect(idsOf('')).toEqual([]);
    expect(idsOf(`${'un '.repeat(30_000)}!`)).toHaveLength(30_001);
  });

  it('is not for a vocabulary beyond its whole numbers', () => {
    expect(WordPieces.of(definition({ '?': 0, a: 2 ** 31 }))).toBeNull();
    expect(WordPieces.of(definition({ '?': 0, ['a'.repeat(5_000_000)]: 1 }))).toBeNull();
  });
});

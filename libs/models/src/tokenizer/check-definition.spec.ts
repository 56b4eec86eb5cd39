import { checkDefinition } from './check-definition';

/** A charsmap with a trie of these units, then its texts. */
const charsmap = (units: number[], texts = ''): object => {
  const bytes = Buffer.alloc(4 + 4 * units.length);
  [4 * units.length, ...units].forEach((unit, i) => bytes.writeUInt32LE(unit, 4 * i));
  return {
    normalizer: {
      type: 'Sequence',
      normalizers: [{ type: 'Precompiled', precompiled_charsmap: Buffer.concat([bytes, Buffer.from(texts)]).toString('base64') }],
    },
  };
};
/** The trie of one letter: from 0 to the unit of "a", and from there by 256 to its value. */
const trieOfA = (value: number): number[] =>
  Object.assign(new Array<number>(512).fill(0), { [0x61]: 0x61 | (1 << 8) | (256 << 10), [0x61 ^ 256]: value });
const regex = (pattern: string): object => ({
  pre_tokenizer: { type: 'Split', pattern: { Regex: pattern }, behavior: 'Isolated', invert: false },
});

const A = { Sequence: { id: 'A' } };
const token = (content: string): object => ({ content, normalized: true });

describe('checkDefinition refuses what the Rust tokenizer would die of', () => {
  it.each([
    ['a merge to no token', { model: { vocab: { a: 0, b: 1 }, merges: [['a', 'b']] } }, /\["a","b"\]/],
    ['the same as a line', { model: { vocab: { a: 0, b: 1 }, merges: ['a b'] } }, /\["a","b"\]/],
    [
      'a merge without the prefix',
      { model: { vocab: { a: 0, b: 1, ab: 2 }, merges: [['a', 'b']], continuing_subword_prefix: '##' } },
      /merges/,
    ],
    [
      'a template after another',
      {
        post_processor: {
          type: 'Sequence',
          processors: [{ type: 'BertProcessing' }, { type: 'Sequence', processors: [{ type: 'TemplateProcessing' }] }],
        },
      },
      /one post-processor/,
    ],
    ['an unknown special token', { post_processor: { single: [{ SpecialToken: { id: 'X' } }, A], pair: [], special_tokens: {} } }, /"X"/],
    ['a pair in the template of one', { post_processor: { single: [{ Sequence: { id: 'B' } }], pair: [] } }, /\$B/],
    ['an added token of nothing', { normalizer: { type: 'BertNormalizer' }, added_tokens: [token('\u0000\u00ad')] }, /added tokens/],
    [
      'an added token that begins in the spaces of another',
      { added_tokens: [{ content: 'a', rstrip: true }, { content: ' b' }] },
      /rstrip/,
    ],
    ['no base64 as charsmap', { normalizer: { type: 'Precompiled', precompiled_charsmap: 'AAA' } }, /base64/],
    ['no trie in a charsmap', charsmap([]), /size of its trie/],
    ['a trie that leads out of itself', charsmap([0x12345678]), /trie ends in itself/],
    ['a text outside of a charsmap', charsmap(trieOfA(3), 'é'), /points to its texts/],
    ['a text within a character of a charsmap', charsmap(trieOfA(1), 'é'), /points to its texts/],
    ['a repeated group', regex('(a+)+$'), /repeated groups/],
    [
      'a group of a normalizer that is repeated a number of times',
      { normalizer: { type: 'Replace', pattern: { Regex: '(?:x?){30}' }, content: '' } },
      /repeated groups/,
    ],
    ['a back reference', regex('(\\w)\\1'), /back references/],
    ['many things that may be there or not', regex('a?a?a?a?a?a?a?aaaaaaa'), /at most 6 repetitions/],
  ])('%s', (_, definition, message) => {
    expect(() => checkDefinition(definition as object)).toThrow(message);
  });

  it.each([
    ['merges with a prefix', { model: { vocab: { a: 0, '##b': 1, ab: 2 }, merges: [['a', '##b']], continuing_subword_prefix: '##' } }],
    ['a comment', { model: { vocab: { a: 0 }, merges: ['#version: 0.2 x'] } }],
    [
      'ByteLevel and a template',
      { post_processor: { type: 'Sequence', processors: [{ type: 'ByteLevel' }, { type: 'TemplateProcessing', single: [A] }] } },
    ],
    ['added spaces', { normalizer: { type: 'NFC' }, added_tokens: [token('  ')] }],
    ['a charsmap', charsmap(trieOfA(2), 'A\0é')],
    ["GPT-2's regular expression", regex("'s|'t|'re|'ve|'m|'ll|'d| ?\\p{L}+| ?\\p{N}+| ?[^\\s\\p{L}\\p{N}]+|\\s+(?!\\S)|\\s+")],
    ['classes in classes', regex(' ?[^(\\s|[.,!?…。,、।۔،])]+')],
    ['nothing', {}],
  ])('takes %s', (_, definition) => {
    expect(() => checkDefinition(definition as object)).not.toThrow();
  });
});

import { checkDefinition } from './check-definition';

const A = { Sequence: { id: 'A' } };
const token = (content: string): object => ({ content, normalized: true });

describe('checkDefinition refuses what the Rust tokenizer would die of', () => {
  it.each([
    ['a merge to no token', { model: { vocab: { a: 0, b: 1 }, merges: [['a', 'b']] } }, /\["a","b"\]/],
    ['the same as a line', { model: { vocab: { a: 0, b: 1 }, merges: ['a b'] } }, /\["a","b"\]/],
    ['a merge without the prefix', { model: { vocab: { a: 0, b: 1, ab: 2 }, merges: [['a', 'b']], continuing_subword_prefix: '##' } }, /merges/],
    ['a template after another', { post_processor: { type: 'Sequence', processors: [{ type: 'BertProcessing' }, { type: 'Sequence', processors: [{ type: 'TemplateProcessing' }] }] } }, /one post-processor/],
    ['an unknown special token', { post_processor: { single: [{ SpecialToken: { id: 'X' } }, A], pair: [], special_tokens: {} } }, /"X"/],
    ['a pair in the template of one', { post_processor: { single: [{ Sequence: { id: 'B' } }], pair: [] } }, /\$B/],
    ['an added token of nothing', { normalizer: { type: 'BertNormalizer' }, added_tokens: [token('\u0000\u00ad')] }, /added tokens/],
    ['an added token that begins in the spaces of another', { added_tokens: [{ content: 'a', rstrip: true }, { content: ' b' }] }, /rstrip/],
  ])('%s', (_, definition, message) => {
    expect(() => checkDefinition(definition as object)).toThrow(message);
  });

  it.each([
    ['merges with a prefix', { model: { vocab: { a: 0, '##b': 1, ab: 2 }, merges: [['a', '##b']], continuing_subword_prefix: '##' } }],
    ['a comment', { model: { vocab: { a: 0 }, merges: ['#version: 0.2 x'] } }],
    ['ByteLevel and a template', { post_processor: { type: 'Sequence', processors: [{ type: 'ByteLevel' }, { type: 'TemplateProcessing', single: [A] }] } }],
    ['added spaces', { normalizer: { type: 'NFC' }, added_tokens: [token('  ')] }],
    ['nothing', {}],
  ])('takes %s', (_, definition) => {
    expect(() => checkDefinition(definition as object)).not.toThrow();
  });
});

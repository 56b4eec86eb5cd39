import { checkCharsmap } from './charsmap';
import type { RawDefinition, RawPostProcessor } from './raw-definition';
import { checkRegexes } from './regexes';

/** Normalizers that may leave nothing of a text, and what they may remove. */
const REMOVING = /"(?:BertNormalizer|StripAccents|Nmt|Precompiled|Strip|Replace)"/;
const REMOVED = /^[\s\p{Cc}\p{Cf}\p{M}]+$/u;

/** Throws for a definition on which the Rust tokenizer (0.23.2) would end the process, or loop for ever, instead of refusing it. */
export function checkDefinition(definition: RawDefinition): void {
  checkMerges(definition.model ?? {});
  checkAddedTokens(definition);
  checkCharsmaps(definition.normalizer);
  checkRegexes(definition);
  const processors = flatten(definition.post_processor);
  if (processors.filter(({ type }) => type !== 'ByteLevel').length > 1)
    throw new Error('expected one post-processor beside ByteLevel but received several');
  processors.forEach(checkTemplate);
}

/** It does not end on an added token of which the normalizer leaves nothing, nor where one token takes the spaces that the next begins with. */
function checkAddedTokens({ added_tokens: tokens, normalizer }: RawDefinition): void {
  if (!Array.isArray(tokens)) return;
  const isRemoving = REMOVING.test(JSON.stringify(normalizer ?? null));
  const takesSpaces = tokens.some(({ rstrip }) => rstrip === true);
  for (const { content, normalized } of tokens) {
    if (typeof content !== 'string') continue;
    if (isRemoving && normalized === true && REMOVED.test(content))
      throw new Error(`expected added tokens that a normalizer does not remove but received ${JSON.stringify(content)}`);
    if (takesSpaces && /^\s/.test(content))
      throw new Error(`expected no added token that begins with a space beside one with rstrip but received ${JSON.stringify(content)}`);
  }
}

function checkCharsmaps(normalizer: unknown): void {
  if (typeof normalizer !== 'object' || normalizer === null) return;
  const {
    type,
    precompiled_charsmap: charsmap,
    normalizers,
  } = normalizer as { type?: unknown; precompiled_charsmap?: unknown; normalizers?: unknown };
  if (type === 'Precompiled') checkCharsmap(charsmap);
  if (Array.isArray(normalizers)) normalizers.forEach(checkCharsmaps);
}

/** It takes each merge's result for a token of the vocabulary, and each right part for one that begins with the prefix of continuations. */
function checkMerges({ vocab, merges, continuing_subword_prefix: prefix }: NonNullable<RawDefinition['model']>): void {
  if (!Array.isArray(merges) || typeof vocab !== 'object' || vocab === null) return;
  const start = typeof prefix === 'string' ? prefix : '';
  for (const merge of merges as unknown[]) {
    const parts: unknown[] = typeof merge === 'string' ? merge.split(' ') : Array.isArray(merge) ? merge : [];
    const [left, right] = parts;
    if (parts.length !== 2 || typeof left !== 'string' || typeof right !== 'string') continue; // it refuses these, or skips a comment
    if (!right.startsWith(start) || !Object.hasOwn(vocab, left + right.slice(start.length))) {
      throw new Error(`expected merges of tokens to tokens of the vocabulary but received ${JSON.stringify([left, right]).slice(0, 128)}`);
    }
  }
}

function flatten(processor: RawPostProcessor | null | undefined): RawPostProcessor[] {
  if (!processor) return [];
  return Array.isArray(processor.processors) ? processor.processors.flatMap(flatten) : [processor];
}

/** It looks for the second text of one, and for special tokens that are not there. */
function checkTemplate({ single = [], pair = [], special_tokens: specials = {} }: RawPostProcessor): void {
  if (!Array.isArray(single) || !Array.isArray(pair)) return;
  if (single.some(({ Sequence: sequence }) => sequence?.id === 'B'))
    throw new Error('expected $A alone in the template for single texts but received $B');
  for (const { SpecialToken: special } of [...single, ...pair]) {
    if (special !== undefined && !Object.hasOwn(specials, String(special.id))) {
      throw new Error(
        `expected the special token ${String(JSON.stringify(special.id)).slice(0, 128)} of the template among its special_tokens`,
      );
    }
  }
}

import type { RawDefinition } from './raw-definition';

/** A special token as a `tokenizer.json` has it. */
export interface SpecialToken {
  content: string;
  single_word: boolean;
  lstrip: boolean;
  rstrip: boolean;
  normalized: boolean;
}

/**
 * A `tokenizer.json` in which these are special tokens too, as transformers makes them of `tokenizer_config.json`: where they are in the
 * vocabulary, and no added tokens yet. Others would get ids that the model does not know.
 */
export function withSpecialTokens(content: string, tokens: readonly SpecialToken[]): string {
  if (tokens.length === 0) return content;
  const definition = JSON.parse(content) as RawDefinition;
  const { added_tokens: own, model } = definition;
  const known = Array.isArray(own) ? own : [];
  const idOf = idsOf(model?.vocab);
  const added = tokens.flatMap((token, i) => {
    const isFirst = tokens.findIndex((other) => other.content === token.content) === i;
    const id = isFirst && !known.some((other) => other.content === token.content) ? idOf(token.content) : null;
    return id === null ? [] : [{ id, ...token, special: true }];
  });
  if (added.length === 0) return content;
  const all = [...known, ...added].sort((a, b) => Number(a.id) - Number(b.id));
  return JSON.stringify({ ...definition, added_tokens: all });
}

/** A vocabulary is an object of ids, or of a Unigram model a list of tokens with their scores. */
function idsOf(vocab: unknown): (token: string) => number | null {
  if (Array.isArray(vocab)) {
    const entries = vocab as unknown[];
    return (token) => {
      const id = entries.findIndex((entry) => Array.isArray(entry) && entry[0] === token);
      return id < 0 ? null : id;
    };
  }
  if (typeof vocab !== 'object' || vocab === null) return () => null;
  const ids = vocab as Record<string, unknown>;
  return (token) => {
    const id = Object.hasOwn(ids, token) ? ids[token] : null;
    return typeof id === 'number' ? id : null;
  };
}

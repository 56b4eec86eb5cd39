import type { RawDefinition } from './raw-definition';
import { COMMON_TEXTS, LETTER_TEXTS } from './probes';
import { isLinear, regexesOf } from './regexes';
import type { Trial } from './trial';

/** Most added tokens and tokens of a definition that are tried beside each other. */
const ADDED_TOKENS_MAX = 64;
const TOKENS_MAX = 64;
const LONG = [101, 2_000].flatMap((length) => ['a', ' ', 'Ab1 ', '人', '\u0301'].map((part) => part.repeat(length)));

/**
 * Regular expressions are searched for by trying: with some texts the time grows with the text's square or faster, and past 10
 * million steps the Rust tokenizer ends its process. Those are repetitions, followed by something else.
 */
const PUMP_CHARACTERS = [..."aA1 \n\r.-_'é人", '\u00a0', '\u0301', '▁'];
/** Half of its square is more than those steps. */
const PUMP_LENGTH = 6_000;
const ENDINGS = ['a', '1', ' ', '\n', '!', 'é'];
const PATTERN_CHARACTERS_MAX = 16;

/** What is tried of a definition before this process uses it. */
export function trialsOf(definition: RawDefinition, content: string): Trial[] {
  const whole = { content, texts: [...COMMON_TEXTS, ...LETTER_TEXTS, ...ownTexts(definition), ...LONG] };
  const patterns = regexesOf(definition).filter((regex) => !isLinear(regex));
  if (patterns.length === 0) return [whole];
  const { normalizer = null, pre_tokenizer = null } = definition;
  const model = { type: 'WordLevel', vocab: { a: 0 }, unk_token: 'a' };
  const patternsAlone = JSON.stringify({
    version: '1.0',
    added_tokens: [],
    normalizer,
    pre_tokenizer,
    post_processor: null,
    decoder: null,
    model,
  });
  return [{ content: patternsAlone, texts: pumps(patterns) }, whole];
}

/** Texts of the definition's tokens: alone, joined, and next to characters of several bytes. */
function ownTexts({ added_tokens: added, model }: RawDefinition): string[] {
  const tokens = [...contentsOf(added).slice(0, ADDED_TOKENS_MAX), ...vocabularyOf(model?.vocab)];
  return tokens.flatMap((token) => [token, `é${token}人 ${token}${token} b`]);
}

function contentsOf(added: RawDefinition['added_tokens']): string[] {
  if (!Array.isArray(added)) return [];
  return added.map((token) => token.content).filter((content) => typeof content === 'string');
}

/** Tokens from all over the vocabulary, which is an object or a list of tokens with scores. */
function vocabularyOf(vocab: unknown): string[] {
  const all: unknown[] = Array.isArray(vocab)
    ? vocab.map((entry: unknown) => (Array.isArray(entry) ? (entry[0] as unknown) : null))
    : Object.keys(vocab ?? {});
  const step = Math.ceil(all.length / TOKENS_MAX);
  return all.filter((token, i): token is string => i % step === 0 && typeof token === 'string');
}

function pumps(patterns: string[]): string[] {
  const own = [...new Set(patterns.join('').replace(/\\./g, ''))].filter((character) => !PUMP_CHARACTERS.includes(character));
  const endings = [...ENDINGS, own.join('')];
  const characters = [...PUMP_CHARACTERS, ...own.slice(0, PATTERN_CHARACTERS_MAX)];
  return characters.flatMap((first) => endings.map((end) => first.repeat(PUMP_LENGTH) + end + (first + end).repeat(PUMP_LENGTH / 8)));
}

import { z } from 'zod';

/**
 * The tokenizers that the JavaScript implementation repeats exactly: WordPiece as BERT has it and byte-level BPE. An unknown key
 * or value is none of them. Read in the source of 0.2.0, these differ from the Rust tokenizer: `Precompiled` (an approximation),
 * `StripAccents` (removes other marks), `Whitespace` and `Digits` (ASCII only), `Punctuation` and `Split` (behaviours), `Metaspace`
 * (`split`), `Strip` and `WhitespaceSplit` (other spaces), BPE with unknown characters, byte fallback, prefix or dropout, Unigram
 * (ties, scores of unknown characters), the types of pairs after `RobertaProcessing`, and pairs without a post-processor.
 */
const normalizer = z.union([
  z.null(),
  z.strictObject({ type: z.literal('NFC') }),
  z.strictObject({
    type: z.literal('BertNormalizer'),
    clean_text: z.boolean(),
    handle_chinese_chars: z.boolean(),
    strip_accents: z.boolean().nullable(),
    lowercase: z.boolean(),
  }),
]);

const sequence = (id: 'A' | 'B') => z.strictObject({ Sequence: z.strictObject({ id: z.literal(id), type_id: z.int() }) });
const special = z.strictObject({ SpecialToken: z.strictObject({ id: z.string(), type_id: z.int() }) });
const template = z.strictObject({
  type: z.literal('TemplateProcessing'),
  single: z.array(z.union([special, sequence('A')])),
  pair: z.array(z.union([special, sequence('A'), sequence('B')])),
  special_tokens: z.record(z.string(), z.object({ id: z.string(), ids: z.tuple([z.int()]) })),
});
const token = z.tuple([z.string(), z.int()]);
const bertProcessing = z.strictObject({ type: z.literal('BertProcessing'), sep: token, cls: token });
const robertaProcessing = z.strictObject({
  type: z.literal('RobertaProcessing'),
  sep: token,
  cls: token,
  trim_offsets: z.boolean(),
  add_prefix_space: z.boolean(),
});

const common = {
  added_tokens: z.array(z.looseObject({ content: z.string(), normalized: z.boolean() })),
  normalizer,
  post_processor: z.union([template, bertProcessing, robertaProcessing]),
};
const wordPiece = z.object({
  ...common,
  pre_tokenizer: z.strictObject({ type: z.literal('BertPreTokenizer') }),
  model: z.strictObject({
    type: z.literal('WordPiece'),
    unk_token: z.string(),
    continuing_subword_prefix: z.string(),
    max_input_chars_per_word: z.int().nonnegative(),
    vocab: z.custom<Record<string, number>>(isVocabulary),
  }),
});
const none = z.union([z.null(), z.literal('')]).optional();
const byteLevelBpe = z.object({
  ...common,
  pre_tokenizer: z.strictObject({
    type: z.literal('ByteLevel'),
    add_prefix_space: z.boolean(),
    trim_offsets: z.boolean(),
    use_regex: z.boolean().optional(),
  }),
  model: z.strictObject({
    type: z.literal('BPE'),
    dropout: z.null().optional(),
    unk_token: z.string().nullable().optional(),
    continuing_subword_prefix: none,
    end_of_word_suffix: none,
    fuse_unk: z.literal(false).optional(),
    byte_fallback: z.literal(false).optional(),
    ignore_merges: z.literal(false).optional(),
    vocab: z.custom<Record<string, number>>(isVocabulary),
    merges: z.custom<unknown[]>(areMerges),
  }),
});
const fastDefinition = z.union([wordPiece, byteLevelBpe]);
export type FastDefinition = z.infer<typeof fastDefinition>;

/** The definition when it is one that the JavaScript tokenizer repeats exactly, or null. */
export function parseFastDefinition(tokenizer: unknown): FastDefinition | null {
  const { success, data } = fastDefinition.safeParse(tokenizer);
  if (!success) return null;
  const { model, post_processor: postProcessor } = data;
  const needed = model.type === 'BPE' ? BYTE_ALPHABET : [model.unk_token];
  const fits = needed.every((token) => Object.hasOwn(model.vocab, token)) && hasKnownSpecials(postProcessor, model.vocab);
  // Normalized added tokens are looked for in the normalized text, which is not known before.
  return fits && (data.normalizer === null || data.added_tokens.every(({ normalized }) => !normalized)) ? data : null;
}

/** GPT-2's alphabet: printable bytes stand for themselves, the others for characters from U+0100 on; by byte. */
export const BYTE_ALPHABET: readonly string[] = byteAlphabet();

function byteAlphabet(): string[] {
  let next = 0x100;
  const isPrintable = (byte: number): boolean => (byte >= 0x21 && byte <= 0x7e) || (byte >= 0xa1 && byte <= 0xac) || byte >= 0xae;
  return Array.from({ length: 256 }, (_, byte) => String.fromCharCode(isPrintable(byte) ? byte : next++));
}

/** JavaScript takes the ids of special tokens from the vocabulary, Rust those that are written beside them. */
function hasKnownSpecials(processor: FastDefinition['post_processor'], vocab: Record<string, number>): boolean {
  if (processor.type !== 'TemplateProcessing') return [processor.sep, processor.cls].every(([token, id]) => vocab[token] === id);
  const { single, pair, special_tokens: specials } = processor;
  const isKnown = (id: string): boolean => Object.hasOwn(specials, id) && Object.hasOwn(vocab, id) && specials[id]?.ids[0] === vocab[id];
  const count = (pieces: typeof pair, id: string): number =>
    pieces.filter((piece) => 'Sequence' in piece && piece.Sequence.id === id).length;
  const takesEachOnce = count(single, 'A') === 1 && count(pair, 'A') === 1 && count(pair, 'B') === 1;
  return takesEachOnce && [...single, ...pair].every((piece) => !('SpecialToken' in piece) || isKnown(piece.SpecialToken.id));
}

/** Ids are different: Rust compares tokens by id and JavaScript by their text. */
function isVocabulary(vocab: unknown): boolean {
  if (typeof vocab !== 'object' || vocab === null || Array.isArray(vocab)) return false;
  const ids: unknown[] = Object.values(vocab);
  return ids.every((id) => Number.isInteger(id)) && new Set(ids).size === ids.length;
}

/** JavaScript judges by the first; Rust leaves out lines with a version. */
function areMerges(merges: unknown): boolean {
  if (!Array.isArray(merges)) return false;
  const isPair = (merge: unknown): boolean => Array.isArray(merge) && merge.length === 2;
  const isLine = (merge: unknown): boolean => typeof merge === 'string' && /^(?!#version)[^ ]+ [^ ]+$/.test(merge);
  return merges.every(isPair) || merges.every(isLine);
}

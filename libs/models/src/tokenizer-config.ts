import { z } from 'zod';
import { checkFile, ModelFileError, ModelJson, readBounded, unusable } from './model-files';
import type { SpecialToken } from './tokenizer/special-tokens';

export type TruncationSide = 'left' | 'right';

export interface TokenizerConfig {
  /** `model_max_length`; null: not said. */
  maxTokens: number | null;
  truncationSide: TruncationSide | null;
  /** Texts that it names as special tokens, which tokenizer.json may not. */
  specialTokens: SpecialToken[];
}

export const TOKENIZER_BYTES_MAX = 128 * 1024 * 1024;

/** Keys of tokenizer_config.json that transformers writes into the normalizer of a BERT tokenizer, by their names there. */
const NORMALIZER_KEYS = {
  do_lower_case: 'lowercase',
  strip_accents: 'strip_accents',
  tokenize_chinese_chars: 'handle_chinese_chars',
} as const;
/** What these classes of transformers take for a key that is not there. */
const BERT_DEFAULTS = { do_lower_case: true, strip_accents: null, tokenize_chinese_chars: true } as const;
const BERT_CLASS = /^(Bert|DistilBert|Electra|MPNet|MobileBert|Funnel|Lxmert)Tokenizer(Fast)?$/;
/** Keys by which transformers adds a token, whatever tokenizer.json says, and the key that names the token. */
const ADDED_TOKENS = { add_bos_token: 'bos_token', add_eos_token: 'eos_token' } as const;

const PREFIX_SPACE = 'add_prefix_space';
/** A class of transformers that takes a pre-tokenizer as it is; that of releases before 5 did not. */
const GENERIC_CLASS = 'TokenizersBackend';

/** Keys that name a special token. */
const NAMED_TOKENS = ['bos_token', 'eos_token', 'unk_token', 'sep_token', 'pad_token', 'cls_token', 'mask_token'];
/** Keys that list some. */
const LISTED_TOKENS = ['additional_special_tokens', 'extra_special_tokens'];

const typed = z.looseObject({ type: z.string() }).nullish();
const tokenizerSchema = z.looseObject({ normalizer: typed, pre_tokenizer: typed, post_processor: z.unknown().optional() });
const tokenSchema = z.union([z.string(), z.looseObject({ content: z.string() })]);
const flag = z.boolean().default(false);
const specialTokenSchema = z.union([
  z
    .string()
    .min(1)
    .transform((content) => ({ content, single_word: false, lstrip: false, rstrip: false, normalized: false })),
  z.object({ content: z.string().min(1), single_word: flag, lstrip: flag, rstrip: flag, normalized: flag }),
]);

/**
 * Reads tokenizer_config.json. Texts are tokenized by tokenizer.json alone, so keys that would have transformers change it
 * must agree with it; throws a `ModelFileError` that names the key that does not.
 */
export function checkTokenizerConfig(folders: string[], tokenizerPath: string): TokenizerConfig {
  const config = ModelJson.read(folders, 'tokenizer_config.json');
  if (config === null) return { maxTokens: null, truncationSide: null, specialTokens: [] };
  const changing = [...Object.keys(NORMALIZER_KEYS), ...Object.keys(ADDED_TOKENS), PREFIX_SPACE];
  if (changing.some((key) => config.has(key)) || BERT_CLASS.test(classOf(config))) checkAgreement(config, tokenizerPath);
  return {
    maxTokens: config.get('model_max_length', z.number()),
    truncationSide: config.get('truncation_side', z.enum(['left', 'right'])) ?? null,
    specialTokens: specialTokensOf(config),
  };
}

/** What is no token is left out. */
function specialTokensOf(config: ModelJson): SpecialToken[] {
  const named = NAMED_TOKENS.map((key) => config.get(key, z.unknown()));
  const lists = LISTED_TOKENS.map((key) => config.get(key, z.unknown()));
  const listed = lists.flatMap((list): unknown[] => (typeof list === 'object' ? Object.values(list ?? {}) : []));
  return [...named, ...listed].flatMap((token) => specialTokenSchema.safeParse(token).data ?? []);
}

function checkAgreement(config: ModelJson, tokenizerPath: string): void {
  const { normalizer, pre_tokenizer: preTokenizer, post_processor: postProcessor } = readTokenizer(tokenizerPath);
  const disagree = (key: string, expected: unknown): ModelFileError =>
    new ModelFileError(
      `${config.path}: ${key} is ${String(expected)}, which ${tokenizerPath} does not do; save the tokenizer again with transformers (tokenizer.save_pretrained) or make the two agree`,
    );
  if (normalizer?.type === 'BertNormalizer') {
    for (const key of Object.keys(NORMALIZER_KEYS) as (keyof typeof NORMALIZER_KEYS)[]) {
      const wanted = wantedOf(config, key);
      if (wanted === undefined || (wanted === null && key !== 'strip_accents')) continue;
      if ((wanted ?? normalizer.lowercase) === effective(normalizer, NORMALIZER_KEYS[key])) continue;
      throw disagree(key, config.has(key) ? wanted : `not there, so ${wanted} for ${classOf(config)}`);
    }
  }
  const prefixSpace = config.get(PREFIX_SPACE, z.boolean());
  const isGeneric = classOf(config) === GENERIC_CLASS;
  if (prefixSpace !== null && !isGeneric && preTokenizer?.type === 'ByteLevel' && prefixSpace !== preTokenizer[PREFIX_SPACE])
    throw disagree(PREFIX_SPACE, prefixSpace);
  const template = JSON.stringify(postProcessor ?? null);
  for (const [key, tokenKey] of Object.entries(ADDED_TOKENS)) {
    if (config.get(key, z.boolean()) !== true) continue;
    const token = config.get(tokenKey, tokenSchema);
    const text = typeof token === 'string' ? token : token?.content;
    if (text !== undefined && !template.includes(JSON.stringify(text))) throw disagree(key, true);
  }
}

const classOf = (config: ModelJson): string => config.get('tokenizer_class', z.string().catch('')) ?? '';

/** Undefined: nothing is said. */
function wantedOf(config: ModelJson, key: keyof typeof NORMALIZER_KEYS): boolean | null | undefined {
  if (config.has(key)) return config.get(key, z.boolean());
  return BERT_CLASS.test(classOf(config)) ? BERT_DEFAULTS[key] : undefined;
}

/** `strip_accents: null` means as `lowercase`. */
function effective(normalizer: Record<string, unknown>, key: string): unknown {
  return normalizer[key] ?? (key === 'strip_accents' ? normalizer.lowercase : true);
}

function readTokenizer(path: string): z.infer<typeof tokenizerSchema> {
  try {
    return checkFile(path, tokenizerSchema, JSON.parse(readBounded(path, TOKENIZER_BYTES_MAX).toString('utf8')));
  } catch (error) {
    throw error instanceof ModelFileError ? error : unusable(path, error);
  }
}

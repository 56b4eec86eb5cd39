import { z } from 'zod';
import { checkFile, ModelFileError, ModelJson, readBounded } from './model-files';

export type TruncationSide = 'left' | 'right';

export interface TokenizerConfig {
  /** `model_max_length`; null: not said. */
  maxTokens: number | null;
  truncationSide: TruncationSide | null;
}

export const TOKENIZER_BYTES_MAX = 128 * 1024 * 1024;

/** Keys of tokenizer_config.json that transformers writes into the normalizer of a BERT tokenizer, by their names there. */
const NORMALIZER_KEYS = {
  do_lower_case: 'lowercase',
  strip_accents: 'strip_accents',
  tokenize_chinese_chars: 'handle_chinese_chars',
} as const;
/** Keys by which transformers adds a token, whatever tokenizer.json says, and the key that names the token. */
const ADDED_TOKENS = { add_bos_token: 'bos_token', add_eos_token: 'eos_token' } as const;

const tokenizerSchema = z.looseObject({ normalizer: z.looseObject({ type: z.string() }).nullish(), post_processor: z.unknown() });
const tokenSchema = z.union([z.string(), z.looseObject({ content: z.string() })]);

/**
 * Reads tokenizer_config.json. Texts are tokenized by tokenizer.json alone, so keys that would have transformers change it
 * must agree with it; throws a `ModelFileError` that names the key that does not.
 */
export function checkTokenizerConfig(folders: string[], tokenizerPath: string): TokenizerConfig {
  const config = ModelJson.read(folders, 'tokenizer_config.json');
  if (config === null) return { maxTokens: null, truncationSide: null };
  const changing = [...Object.keys(NORMALIZER_KEYS), ...Object.keys(ADDED_TOKENS)];
  if (config.keys().some((key) => changing.includes(key))) checkAgreement(config, tokenizerPath);
  return {
    maxTokens: config.get('model_max_length', z.number()),
    truncationSide: config.get('truncation_side', z.enum(['left', 'right'])) ?? null,
  };
}

function checkAgreement(config: ModelJson, tokenizerPath: string): void {
  const { normalizer, post_processor: postProcessor } = readTokenizer(tokenizerPath);
  const disagree = (key: string, expected: unknown): ModelFileError =>
    new ModelFileError(
      `${config.path}: ${key} is ${String(expected)}, which ${tokenizerPath} does not do; save the tokenizer again with transformers (tokenizer.save_pretrained) or make the two agree`,
    );
  if (normalizer?.type === 'BertNormalizer') {
    for (const [key, own] of Object.entries(NORMALIZER_KEYS)) {
      const wanted = config.get(key, z.boolean());
      if (wanted !== null && wanted !== effective(normalizer, own)) throw disagree(key, wanted);
    }
  }
  const template = JSON.stringify(postProcessor ?? null);
  for (const [key, tokenKey] of Object.entries(ADDED_TOKENS)) {
    if (config.get(key, z.boolean()) !== true) continue;
    const token = config.get(tokenKey, tokenSchema);
    const text = typeof token === 'string' ? token : token?.content;
    if (text !== undefined && !template.includes(JSON.stringify(text))) throw disagree(key, true);
  }
}

/** `strip_accents: null` means as `lowercase`. */
function effective(normalizer: Record<string, unknown>, key: string): unknown {
  return normalizer[key] ?? (key === 'strip_accents' ? normalizer.lowercase : true);
}

function readTokenizer(path: string): z.infer<typeof tokenizerSchema> {
  try {
    return checkFile(path, tokenizerSchema, JSON.parse(readBounded(path, TOKENIZER_BYTES_MAX).toString('utf8')));
  } catch (error) {
    throw error instanceof ModelFileError ? error : new ModelFileError(`${path}: ${(error as Error).message}`);
  }
}

import { z } from 'zod';

const normalizerSchema = z.looseObject({ type: z.string(), normalizers: z.array(z.looseObject({ type: z.string() })).optional() });

/**
 * A `tokenizer.json` that makes texts lower case before its own normalisation, as sentence-transformers does for
 * `do_lower_case`: not where its normalizers have that step already. Texts of special tokens stay as they are.
 */
export function withLowercase(content: string): string {
  const tokenizer = JSON.parse(content) as Record<string, unknown>;
  const own = normalizerSchema.nullish().parse(tokenizer.normalizer) ?? null;
  const steps = own === null ? [] : own.type === 'Sequence' ? (own.normalizers ?? []) : [own];
  if (steps.some(({ type }) => type === 'Lowercase')) return content;
  return JSON.stringify({ ...tokenizer, normalizer: { type: 'Sequence', normalizers: [{ type: 'Lowercase' }, ...steps] } });
}

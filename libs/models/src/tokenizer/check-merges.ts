/** What of a `tokenizer.json` is read here; the Rust tokenizer checks all else itself. */
interface BpeParts {
  vocab?: Record<string, number>;
  merges?: unknown;
  continuing_subword_prefix?: string | null;
}

/**
 * Throws for merges on which the Rust tokenizer ends the process: it takes each result for a token of the vocabulary, and each
 * right part for one that begins with the prefix of continuations.
 */
export function checkMerges(model: unknown): void {
  const { vocab, merges, continuing_subword_prefix: prefix } = (model ?? {}) as BpeParts;
  if (!Array.isArray(merges) || typeof vocab !== 'object' || vocab === null) return;
  for (const merge of merges as unknown[]) {
    const parts: unknown[] = typeof merge === 'string' ? merge.split(' ') : Array.isArray(merge) ? merge : [];
    const [left, right] = parts;
    if (parts.length !== 2 || typeof left !== 'string' || typeof right !== 'string') continue; // refused by the Rust tokenizer, or a comment
    const start = typeof prefix === 'string' ? prefix : '';
    if (!right.startsWith(start) || !Object.hasOwn(vocab, left + right.slice(start.length))) {
      throw new Error(`expected merges of tokens to tokens of the vocabulary but received ${JSON.stringify([left, right]).slice(0, 128)}`);
    }
  }
}

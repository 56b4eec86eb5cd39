/** What is read here of a `tokenizer.json`; the Rust tokenizer checks all else itself. */
export interface RawDefinition {
  added_tokens?: { id?: unknown; content?: unknown; special?: unknown; normalized?: unknown; rstrip?: unknown }[];
  normalizer?: unknown;
  pre_tokenizer?: unknown;
  model?: { vocab?: unknown; merges?: unknown; continuing_subword_prefix?: unknown };
  post_processor?: RawPostProcessor | null;
  truncation?: { direction?: unknown } | null;
}

export interface RawPostProcessor {
  type?: unknown;
  single?: RawPiece[];
  pair?: RawPiece[];
  special_tokens?: Record<string, unknown>;
  processors?: RawPostProcessor[];
}

export interface RawPiece {
  SpecialToken?: { id?: unknown };
  Sequence?: { id?: unknown };
}

import type { ErrorStyle } from '@app/protocols';

const OPENAI_PATH =
  /^(?:\/v1\/(?:embeddings|classify|tokenize|detokenize|files|uploads|batches|models$|models\?)|(?:\/v[12])?\/rerank(?:$|[/?]))/;

/** The protocol whose error shape a path answers with: OpenAI's object, or the flat message of all others. */
export function errorStyle(url: string): ErrorStyle {
  return OPENAI_PATH.test(url) ? 'openai' : 'open-inference';
}

import { postRequest } from '../support/http-connection';
import type { SeededRandom } from '../../test/support/tensors';

const WORDS =
  'the quick brown fox jumps over lazy dog while seven wise old owls watch from a tall oak tree near river and nobody knows why they sing'.split(
    ' ',
  );

export interface LongTexts {
  model: string;
  texts: number;
  charactersMin: number;
  /** All texts of a request are one and the same, and all requests. */
  areEqual: boolean;
}

/** One embeddings request of many long texts. */
export function embeddings(
  { model, texts, charactersMin, areEqual }: LongTexts,
  random: SeededRandom,
  headers: Record<string, string>,
): Buffer {
  const text = areEqual ? 'the quick brown fox jumps over the lazy dog '.repeat(Math.ceil(charactersMin / 44)) : null;
  const input = Array.from({ length: texts }, () => text ?? randomText(charactersMin, random));
  return postRequest('/v1/embeddings', Buffer.from(JSON.stringify({ model, input })), { 'content-type': 'application/json', ...headers });
}

function randomText(charactersMin: number, random: SeededRandom): string {
  let text = '';
  while (text.length < charactersMin) text += `${WORDS[random.integer(0, WORDS.length - 1)]} `;
  return text;
}

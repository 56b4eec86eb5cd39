import { toUSVString } from 'node:util';
import { InterleaveError } from '@app/contracts';
import type { TextAndPair } from './tokenizer';
import type { TextInput } from './types';

export function textsOf(input: TextInput): TextAndPair {
  return typeof input === 'string' ? { text: input, pair: null } : { text: input.text, pair: input.text_pair ?? null };
}

/** The first `charactersMax` UTF-16 units; never cuts a pair of surrogates in two, as half of one is no character. */
export function cutText(text: string, charactersMax: number): string {
  return text.slice(0, charactersMax).replace(/[\ud800-\udbff]$/, '');
}

/** Half of a surrogate pair in them is refused: it is no character, and tokenizers would take U+FFFD in its place. */
export function checkTexts({ text, pair }: TextAndPair, index: number): void {
  checkCharacters(text, 'the text', index);
  checkCharacters(pair ?? '', 'text_pair', index);
}

function checkCharacters(text: string, what: string, index: number): void {
  const wellFormed = toUSVString(text);
  if (wellFormed === text) return;
  let at = 0;
  while (wellFormed[at] === text[at]) at += 1;
  const received = `the lone surrogate U+${text.charCodeAt(at).toString(16).toUpperCase()}`;
  throw refused(
    index,
    `expected Unicode characters in ${what} but received ${received} at character ${[...text.slice(0, at)].length}; send whole characters`,
  );
}

/** `index`: of the text at fault among those of the request. */
export function refused(index: number, message: string): InterleaveError {
  return new InterleaveError('invalid_request', message, { param: `[${index}]` });
}

import { printable } from '../printable';

/** How a piece of text looks; what it means is in its words and signs too. */
export type Style = 'plain' | 'soft' | 'strong' | 'title' | 'chosen' | 'ok' | 'watch' | 'bad' | 'live' | 'batch' | 'system';

export interface Span {
  text: string;
  style: Style;
}

/** One line of the screen. */
export type Line = readonly Span[];

/** Nothing in `text` may steer the terminal: names come from others. */
export const span = (text: string, style: Style = 'plain'): Span => ({ text: printable(text.replaceAll('\n', ' ')), style });

export const line = (...parts: (Span | string)[]): Line => parts.map((part) => (typeof part === 'string' ? span(part) : part));

export const charsOf = (text: string): number => [...text].length;

export const widthOf = (spans: Line): number => spans.reduce((sum, { text }) => sum + charsOf(text), 0);

export const plainText = (spans: Line): string => spans.map(({ text }) => text).join('');

/** The text with "…" in place of what is too much. */
export function cut(text: string, chars: number): string {
  if (charsOf(text) <= chars) return text;
  return chars <= 0 ? '' : `${[...text].slice(0, chars - 1).join('')}…`;
}

/** No wider than `chars`. */
export function fit(spans: Line, chars: number): Line {
  const fitted: Span[] = [];
  let left = chars;
  for (const { text, style } of spans) {
    if (left <= 0) break;
    fitted.push({ text: cut(text, left), style });
    left -= charsOf(text);
  }
  return fitted;
}

/** `right` at the right edge, where there is room for both. */
export function spread(left: Line, right: Line, chars: number): Line {
  const gap = chars - widthOf(left) - widthOf(right);
  return gap < 1 ? fit(left, chars) : [...left, span(' '.repeat(gap)), ...right];
}

/** In lines of at most `chars`, broken between words; what is more than `linesMax` is left out. */
export function wrap(text: string, chars: number, linesMax: number): string[] {
  const lines: string[] = [];
  let current = '';
  for (const word of text.split(' ')) {
    const longer = current === '' ? word : `${current} ${word}`;
    if (charsOf(longer) <= chars || current === '') current = longer;
    else {
      lines.push(current);
      current = word;
    }
  }
  lines.push(current);
  const shown = lines.slice(0, linesMax).map((one) => cut(one, chars));
  const last = shown.pop() ?? '';
  return [...shown, lines.length > linesMax ? cut(`${last} …`, chars) : last];
}

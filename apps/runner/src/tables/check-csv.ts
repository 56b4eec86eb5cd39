import type { Compression } from '@app/batches';
import { unpackedBytes } from './text-reader';
import { BadTable } from './table-task';

const [QUOTE, COMMA, LF, CR] = [0x22, 0x2c, 0x0a, 0x0d] as const;
const MARK_BYTES = 3;

/**
 * Reads CSV once for what DuckDB takes for its end without a word: a packed file that was cut, and a quote that is never closed. Throws
 * `BadTable`.
 */
export async function checkCsv(path: string, compression: Compression | null): Promise<void> {
  let before: number = LF;
  let offset = 0;
  let isQuoted = false;
  /** The last byte was a quote in quotes: the next one says what it was. */
  let isClosing = false;
  for await (const part of unpackedBytes(path, compression)) {
    let at = 0;
    if (isClosing) {
      isClosing = false;
      if (part[0] === QUOTE) at = 1;
      else isQuoted = false;
    }
    for (at = part.indexOf(QUOTE, at); at !== -1; at = part.indexOf(QUOTE, at)) {
      if (!isQuoted) {
        const previous = at === 0 ? before : part[at - 1];
        isQuoted = previous === COMMA || previous === LF || previous === CR || (offset + at === MARK_BYTES && previous === 0xbf);
        at += 1;
      } else if (at + 1 === part.length) {
        isClosing = true;
        break;
      } else if (part[at + 1] === QUOTE) at += 2;
      else {
        isQuoted = false;
        at += 1;
      }
    }
    before = part[part.length - 1] ?? before;
    offset += part.length;
  }
  if (isQuoted && !isClosing) throw new BadTable('A quote of the CSV is never closed, so that the rest of the file would be one cell.');
}

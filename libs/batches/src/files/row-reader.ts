import type { ObjectStore } from '../storage/object-store';
import { isWhiteSpace, type Chunk } from './line-index';
import { BYTE_ORDER_MARK } from './text-encoding';

/** One non-blank line. `bytes` is valid until the next group is asked for: it is a view of a buffer that is reused. */
export interface RowLine {
  /** From 0, in the file. */
  row: number;
  /** From 1, in the file; blank lines count. */
  line: number;
  bytes: Buffer;
}

const BUFFER_BYTES = 256 * 1024;
const NEWLINE = 0x0a;

/**
 * Reads the rows of a byte range that starts at a line start, in groups of what one read brought, so that a caller who
 * works on a group synchronously holds the event loop for at most about 256 KiB of text (or one row). Memory: two reads, or
 * twice the longest line; throws when one is longer than `lineBytesMax`.
 */
export async function* readRows(
  store: Pick<ObjectStore, 'read'>,
  key: string,
  range: Omit<Chunk, 'index' | 'rowCount'>,
  lineBytesMax = Infinity,
): AsyncGenerator<RowLine[], void, void> {
  let buffer = Buffer.allocUnsafe(Math.min(BUFFER_BYTES, range.end - range.offset));
  let filled = 0;
  let position = range.offset;
  let next = { row: range.firstRow, line: range.firstLine };
  const split = (isLast: boolean): { rows: RowLine[]; consumed: number } => {
    const { rows, consumed, after } = splitRows(buffer.subarray(0, filled), next, isLast, position - filled === 0);
    next = after;
    return { rows, consumed };
  };
  for await (const part of store.read(key, { start: range.offset, end: range.end })) {
    if (filled > lineBytesMax) throw new Error(`${key}: line ${next.line} is longer than ${lineBytesMax} bytes`);
    if (filled + part.length > buffer.length) buffer = Buffer.concat([buffer], Math.max(buffer.length * 2, filled + part.length));
    filled += part.copy(buffer, filled);
    position += part.length;
    const { rows, consumed } = split(false);
    if (rows.length > 0) yield rows;
    buffer.copyWithin(0, consumed, filled);
    filled -= consumed;
  }
  const { rows } = split(true);
  if (rows.length > 0) yield rows;
}

function splitRows(text: Buffer, first: { row: number; line: number }, isLast: boolean, isFileStart: boolean) {
  const rows: RowLine[] = [];
  let { row, line } = first;
  let start = 0;
  while (start < text.length) {
    const newline = text.indexOf(NEWLINE, start);
    if (newline === -1 && !isLast) break;
    const end = newline === -1 ? text.length : newline;
    const bytes = text.subarray(start + (isFileStart && start === 0 ? markBytes(text) : 0), end);
    if (!isBlank(bytes)) {
      rows.push({ row, line, bytes });
      row += 1;
    }
    line += 1;
    start = end + 1;
  }
  return { rows, consumed: Math.min(start, text.length), after: { row, line } };
}

function markBytes(text: Buffer): number {
  return text.subarray(0, BYTE_ORDER_MARK.length).equals(BYTE_ORDER_MARK) ? BYTE_ORDER_MARK.length : 0;
}

function isBlank(bytes: Buffer): boolean {
  for (let at = 0; at < bytes.length; at++) if (!isWhiteSpace(bytes[at] as number)) return false;
  return true;
}

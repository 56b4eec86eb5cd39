import { jsonLine } from '@app/protocols';

/** How the lines of both files begin, up to the number of the row; the `custom_id` is next (docs/protocols.md §9.4). */
const LINE_START = /^\{"id":"batch_req_[^"]{0,128}_(\d{1,15})$/;
const START_BYTES_MAX = 192;
const NEWLINE = 0x0a;

export interface ResultLine {
  row: number;
  /** At most `bytesMax` bytes of it. */
  text: string;
  isCut: boolean;
}

/** The line of a row in what a batch wrote; null: it has none there. Memory: two reads, or `bytesMax`. */
export async function findResultLine(
  lines: AsyncIterable<Buffer>,
  customId: string,
  bytesMax: number,
  onRead: (bytes: number) => void = () => undefined,
): Promise<ResultLine | null> {
  const needle = Buffer.from(`","custom_id":${jsonLine(customId)},`);
  let held: Buffer = Buffer.alloc(0);
  let found: { row: number } | null = null;
  for await (const part of lines) {
    onRead(part.length);
    held = Buffer.concat([held, part]);
    if (found === null) {
      const place = placeIn(held, needle);
      found = place;
      held = place === null ? held.subarray(Math.max(0, held.length - needle.length - START_BYTES_MAX)) : held.subarray(place.start);
    }
    if (found !== null && (held.includes(NEWLINE) || held.length > bytesMax)) break;
  }
  if (found === null) return null;
  const newline = held.indexOf(NEWLINE);
  const end = newline === -1 ? held.length : newline;
  return { row: found.row, text: held.toString('utf8', 0, Math.min(end, bytesMax)), isCut: newline === -1 || end > bytesMax };
}

function placeIn(bytes: Buffer, needle: Buffer): { row: number; start: number } | null {
  for (let at = bytes.indexOf(needle); at !== -1; at = bytes.indexOf(needle, at + 1)) {
    const start = bytes.lastIndexOf(NEWLINE, at) + 1;
    const [, row] = at - start > START_BYTES_MAX ? [] : (LINE_START.exec(bytes.toString('latin1', start, at)) ?? []);
    if (row !== undefined) return { row: Number(row), start };
  }
  return null;
}

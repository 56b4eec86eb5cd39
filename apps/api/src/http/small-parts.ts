/** Parts of this size on cost little beside their own bytes. */
const LARGE_PART_BYTES = 4 * 1024;
/** So many small parts in a row stay as they came. */
const SMALL_PARTS_MAX = 64;

/**
 * Copies small parts of a body together; call it after each part that was added. A part costs some 300 bytes beside its
 * own, and callers choose how small parts are (chunks of HTTP/1.1, DATA frames of HTTP/2): a body of 8 MiB in chunks of
 * one byte would take gigabytes. Afterwards a part holds 64 bytes or more on average, of bodies of more than a few parts.
 */
export function joinSmallParts(parts: Buffer[]): void {
  const isLast = isSmall(parts.at(-1));
  const end = isLast ? parts.length : parts.length - 1;
  let begin = end;
  while (isSmall(parts[begin - 1])) begin -= 1;
  const count = end - begin;
  if (count >= (isLast ? SMALL_PARTS_MAX : 2)) parts.splice(begin, count, Buffer.concat(parts.slice(begin, end)));
}

const isSmall = (part: Buffer | undefined): boolean => part !== undefined && part.length < LARGE_PART_BYTES;

import { once } from 'node:events';
import { readSync } from 'node:fs';
import type { Writable } from 'node:stream';

/** Waits while what reads the stream is behind. */
export async function writeAll(stream: Writable, part: string | Uint8Array): Promise<void> {
  if (!stream.write(part)) await once(stream, 'drain');
}

const READ_BYTES = 256 * 1024;

/**
 * The lines of a pipe, without line ends and without those that are blank. Blocks the thread until there is one. Memory: two reads and
 * the longest line.
 */
export class LineSource {
  private rest: Buffer = Buffer.alloc(0);
  private start = 0;

  constructor(private readonly fd: number) {}

  /** Null: there are no more. */
  next(): string | null {
    for (;;) {
      const line = this.endOfLine();
      const end = line ?? this.rest.length;
      const text = this.rest.toString('utf8', this.start, end);
      this.start = Math.min(end + 1, this.rest.length);
      if (text.trim() !== '') return text;
      if (line === null) return null;
    }
  }

  /** Null: the pipe ended before the line did. */
  private endOfLine(): number | null {
    for (let from = this.start; ;) {
      const end = this.rest.indexOf(0x0a, from);
      if (end !== -1) return end;
      const kept = this.rest.length - this.start;
      const bytes = Buffer.allocUnsafe(kept + READ_BYTES);
      this.rest.copy(bytes, 0, this.start);
      const read = readSync(this.fd, bytes, kept, READ_BYTES, null);
      this.rest = bytes.subarray(0, kept + read);
      this.start = 0;
      from = kept;
      if (read === 0) return null;
    }
  }
}

import { once } from 'node:events';
import type { Writable } from 'node:stream';

/** Waits while what reads the stream is behind. */
export async function writeAll(stream: Writable, part: string | Uint8Array): Promise<void> {
  if (!stream.write(part)) await once(stream, 'drain');
}

/** The lines of a stream of bytes, without line ends and without those that are blank. Memory: a read and the longest line. */
export class LineSource {
  private readonly parts: AsyncIterator<Buffer>;
  private rest: Buffer = Buffer.alloc(0);
  private start = 0;

  constructor(parts: AsyncIterable<Buffer>) {
    this.parts = parts[Symbol.asyncIterator]();
  }

  /** Null: there are no more. */
  async next(): Promise<string | null> {
    for (;;) {
      const line = this.rest.indexOf(0x0a, this.start);
      const end = line === -1 ? await this.fill() : line;
      if (end === null) continue;
      const text = this.rest.toString('utf8', this.start, end);
      this.start = Math.min(end + 1, this.rest.length);
      if (text.trim() !== '') return text;
      if (line === -1) return null;
    }
  }

  /** The end of the last line; null: more was read. */
  private async fill(): Promise<number | null> {
    const { done, value } = await this.parts.next();
    if (done === true) return this.rest.length;
    this.rest = Buffer.concat([this.rest.subarray(this.start), value]);
    this.start = 0;
    return null;
  }
}

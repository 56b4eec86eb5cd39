import { closeSync, fstatSync, openSync, readSync } from 'node:fs';

const WINDOW_BYTES = 64 * 1024;
const PIECE_BYTES = 8 * 1024 * 1024;

/** A part of a file, by its first byte and the one after its last. */
export interface Span {
  start: number;
  end: number;
}

export const lengthOf = ({ start, end }: Span): number => end - start;

/** Reads a file at any place, a window at a time: what is skipped is never in memory. Throws where the file ends too early. */
export class FileBytes {
  readonly size: number;
  private readonly buffer = Buffer.alloc(WINDOW_BYTES);
  private windowStart = 0;
  private windowEnd = 0;

  private constructor(private readonly file: number) {
    this.size = fstatSync(file).size;
  }

  /** Hands the bytes of a file to `use` and closes the file. */
  static with<T>(path: string, use: (bytes: FileBytes) => T): T {
    const file = openSync(path, 'r');
    try {
      return use(new FileBytes(file));
    } finally {
      closeSync(file);
    }
  }

  at(position: number): number {
    if (position < this.windowStart || position >= this.windowEnd) {
      this.windowStart = position;
      this.windowEnd = position + readSync(this.file, this.buffer, 0, WINDOW_BYTES, position);
      if (position >= this.windowEnd) throw new Error('the file became shorter');
    }
    return this.buffer[position - this.windowStart] as number;
  }

  /** A copy. */
  slice({ start, end }: Span): Buffer {
    if (end > start) this.at(start);
    if (end <= this.windowEnd) return Buffer.from(this.buffer.subarray(start - this.windowStart, end - this.windowStart));
    const copy = Buffer.alloc(end - start);
    readFully(this.file, copy, start);
    return copy;
  }

  /** The bytes in turn, in pieces of one buffer: each is valid until the next is asked for. */
  *pieces({ start, end }: Span): Generator<Uint8Array> {
    const buffer = Buffer.allocUnsafe(Math.min(PIECE_BYTES, end - start));
    for (let at = start; at < end; at += buffer.length) {
      const piece = buffer.subarray(0, Math.min(buffer.length, end - at));
      readFully(this.file, piece, at);
      yield piece;
    }
  }
}

function readFully(file: number, target: Buffer, position: number): void {
  for (let filled = 0; filled < target.length;) {
    const read = readSync(file, target, filled, target.length - filled, position + filled);
    if (read === 0) throw new Error('the file became shorter');
    filled += read;
  }
}

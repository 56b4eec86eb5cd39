import { floatsBytesMax, writeFloats } from '@app/native';
import { toBase64, type AnswerParts, type VectorForm } from '@app/protocols';

const LINE_FEED = 0x0a;
/** A UTF-16 unit takes at most so many bytes of UTF-8. */
const UNIT_BYTES_MAX = 3;
const BYTES_MIN = 512 * 1024;
/** Blocks of fewer lines begin with so many bytes for each, in a buffer that is not used again. */
const FEW_LINES = 32;
const LINE_BYTES = 4 * 1024;
/** Buffers that wait for their next use; larger ones than that are not kept. */
const KEPT_MAX = 8;
const KEPT_BYTES_MAX = 4 * 1024 * 1024;
const kept: Buffer[] = [];

/**
 * Lines of an output file as they are put together: bytes, without a string of each line. Buffers are used again, because V8 collects
 * its whole heap after every 64 MiB of new ones.
 */
export class LineBlock {
  private buffer: Buffer;
  private end = 0;
  private longest = 0;
  private lines = 0;

  /** `lines`: as many as there may be. */
  constructor(lines: number) {
    this.buffer = lines < FEW_LINES ? Buffer.allocUnsafe(lines * LINE_BYTES) : (kept.pop() ?? Buffer.allocUnsafeSlow(BYTES_MIN));
  }

  get lineCount(): number {
    return this.lines;
  }

  /** Bytes of the longest line so far. */
  get longestBytes(): number {
    return this.longest;
  }

  /** `around`: the line before and after the body, without its line end. */
  add(around: { before: string; after: string }, { before, vector, vectorForm, after }: AnswerParts): void {
    const head = around.before + before;
    const tail = after + around.after;
    this.makeRoom((head.length + tail.length) * UNIT_BYTES_MAX + (vector === null ? 0 : floatsBytesMax(vector.length)) + 1);
    const start = this.end;
    this.end += this.buffer.write(head, this.end, 'utf8');
    if (vector !== null) this.addVector(vector, vectorForm);
    this.end += this.buffer.write(tail, this.end, 'utf8');
    this.buffer[this.end++] = LINE_FEED;
    this.longest = Math.max(this.longest, this.end - start);
    this.lines += 1;
  }

  /** Call at most once, when its bytes are written; it is of no use afterwards. */
  release(): void {
    if (kept.length < KEPT_MAX && this.buffer.length >= BYTES_MIN && this.buffer.length <= KEPT_BYTES_MAX) kept.push(this.buffer);
    this.buffer = Buffer.alloc(0);
    this.end = 0;
  }

  /** A view; valid until the next call of another method. */
  bytes(): Buffer {
    return this.buffer.subarray(0, this.end);
  }

  private addVector(vector: Float32Array, form: VectorForm): void {
    if (form === 'numbers') this.end = writeFloats(vector, this.buffer, this.end);
    else this.end += this.buffer.write(`"${toBase64(vector)}"`, this.end, 'latin1');
  }

  private makeRoom(bytes: number): void {
    if (this.end + bytes <= this.buffer.length) return;
    const larger = Buffer.allocUnsafeSlow(Math.max(this.buffer.length * 2, this.end + bytes));
    this.buffer.copy(larger, 0, 0, this.end);
    this.buffer = larger;
  }
}

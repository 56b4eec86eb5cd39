import type { Tokenizer as RustTokenizer } from 'tokenizers';
import type { TruncationSide } from '../tokenizer-config';

/** The special tokens that a tokenizer puts before and after a single text. */
export class Frame {
  constructor(
    readonly before: readonly number[],
    readonly after: readonly number[],
  ) {}

  static async of(rust: RustTokenizer): Promise<Frame> {
    const encoding = await rust.encode('a');
    const ids = encoding.getIds();
    const isText = encoding.getSequenceIds().map((sequence) => typeof sequence === 'number');
    const [first, last] = [isText.indexOf(true), isText.lastIndexOf(true)];
    return first < 0 ? new Frame([], []) : new Frame(ids.slice(0, first), ids.slice(last + 1));
  }

  /**
   * True when no OpenAI encoding gives ids that begin as this frame does. r50k, p50k, cl100k and o200k have the same first 256 ids,
   * one for each byte, and no text begins with a byte from 0x80 to 0xC1.
   */
  get isUnmistakable(): boolean {
    const id = this.before[0] ?? 0;
    return (id >= 94 && id <= 125) || (id >= 222 && id <= 255);
  }

  surrounds(ids: readonly unknown[]): boolean {
    const { before, after } = this;
    const start = ids.length - after.length;
    return start >= before.length && before.every((id, i) => ids[i] === id) && after.every((id, i) => ids[start + i] === id);
  }

  /** At most `tokensMax` ids, taken away on `side`; the frame is kept where there is one. */
  truncate<T>(ids: T[], tokensMax: number, side: TruncationSide): T[] {
    if (ids.length <= tokensMax) return ids;
    const keepsFrame = this.surrounds(ids) && tokensMax >= this.before.length + this.after.length;
    const [start, end] = keepsFrame ? [this.before.length, this.after.length] : [0, 0];
    if (side === 'right') return [...ids.slice(0, tokensMax - end), ...ids.slice(ids.length - end)];
    return [...ids.slice(0, start), ...ids.slice(ids.length - (tokensMax - start))];
  }
}

const EMPTY = 0xffffffff;
const LOAD_MAX = 0.8;

const NONE: readonly number[] = [];

/**
 * Remembers strings in 8 bytes each (at 80 % load): a 32-bit tag and the chunk the string was seen in. That can take two
 * different strings for equal, with a probability of about 1e-9 a string, so the caller looks into the chunk to be sure.
 * The seed is random per set, so that nobody can prepare strings that collide.
 */
export class CustomIdSet {
  private readonly tags: Uint32Array;
  private readonly chunks: Uint32Array;
  private readonly capacity: number;
  private readonly seed: number;

  /** `idsMax`: most strings that will be added; the memory is taken at once. */
  constructor(idsMax: number, seed = Math.floor(Math.random() * 2 ** 32)) {
    this.capacity = Math.ceil((idsMax + 1) / LOAD_MAX);
    this.tags = new Uint32Array(this.capacity);
    this.chunks = new Uint32Array(this.capacity).fill(EMPTY);
    this.seed = seed;
  }

  /** Adds a string; returns the chunks in which it may have been seen before, almost always none. */
  add(id: string, chunkIndex: number): readonly number[] {
    const { slot, tag } = this.hash(id);
    let suspects = NONE;
    for (let i = slot; ; i = i + 1 === this.capacity ? 0 : i + 1) {
      const chunk = this.chunks[i] ?? EMPTY;
      if (chunk === EMPTY) {
        this.tags[i] = tag;
        this.chunks[i] = chunkIndex;
        return suspects;
      }
      if (this.tags[i] === tag) suspects = [...suspects, chunk];
    }
  }

  /** Two independent multiplicative hashes: one picks the slot, the other is compared. */
  private hash(id: string): { slot: number; tag: number } {
    let a = this.seed ^ id.length;
    let b = ~this.seed;
    for (let i = 0; i < id.length; i++) {
      const unit = id.charCodeAt(i);
      a = Math.imul(a ^ unit, 0x01000193);
      b = Math.imul(b + unit, 0x9e3779b1);
      a ^= a >>> 15;
      b ^= b >>> 13;
    }
    const slotHash = Math.imul(a ^ (a >>> 16), 0x7feb352d) >>> 0;
    return { slot: Math.floor((slotHash / 2 ** 32) * this.capacity), tag: Math.imul(b ^ (b >>> 16), 0x846ca68b) >>> 0 };
  }
}

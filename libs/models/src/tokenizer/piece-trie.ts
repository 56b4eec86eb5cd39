/** The codes of ASCII characters are below. */
export const ASCII_END = 0x80;

/** Of each slot: the edge, counted from 1, or 0 where it is free; and the node that it leads to. */
const SLOT_NUMBERS = 2;
/** At most half of the slots is taken. */
const SLOTS_PER_EDGE = 2;
/**
 * 2^32 divided by the golden ratio: spreads keys that follow each other (Knuth, "The Art of Computer Programming", volume 3, section 6.4).
 */
const HASH_FACTOR = 0x9e3779b1;

const ROOT = 0;
const NO_PIECE = -1;

/**
 * Pieces of ASCII characters with their ids, as a trie: of all pieces that begin at a place of a text, the longest is found in one way
 * through its characters, and no string is made. The edges of all nodes are in one hash table by node and character.
 */
export class PieceTrie {
  private readonly slots: Int32Array;
  private readonly slotMask: number;
  /** By node: the id of the piece that ends there, or that none does. */
  private readonly ids: Int32Array;
  /** By node. */
  private readonly depths: Int32Array;
  private nodeCount = 1;

  /** Pieces are different, and ids are whole numbers of 0 or more. Those that are empty, or have other characters, are left out. */
  constructor(pieces: readonly (readonly [piece: string, id: number])[]) {
    const own = pieces.filter(([piece]) => piece !== '' && isAscii(piece)).sort(([a], [b]) => (a < b ? -1 : 1));
    const edgeCount = own.reduce((sum, [piece], i) => sum + piece.length - commonLength(piece, own[i - 1]?.[0] ?? ''), 0);
    const slotCount = 2 ** Math.ceil(Math.log2(edgeCount * SLOTS_PER_EDGE + 1));
    this.slots = new Int32Array(slotCount * SLOT_NUMBERS);
    this.slotMask = slotCount - 1;
    this.ids = new Int32Array(edgeCount + 1).fill(NO_PIECE);
    this.depths = new Int32Array(edgeCount + 1);
    for (const [piece, id] of own) this.add(piece, id);
  }

  /**
   * The node of the longest piece that begins at `start` of `text` and ends by `end`, where all bytes are ASCII; 0: there is none.
   * `folded` has by code what a character is taken for.
   */
  longest(text: Uint8Array, start: number, end: number, folded: Uint8Array): number {
    let longest = ROOT;
    let node = ROOT;
    for (let at = start; at < end; at++) {
      const slot = this.slotOf(node, folded[text[at] as number] as number);
      if (this.slots[slot] === 0) break;
      node = this.slots[slot + 1] as number;
      if (this.ids[node] !== NO_PIECE) longest = node;
    }
    return longest;
  }

  idOf(node: number): number {
    return this.ids[node] as number;
  }

  lengthOf(node: number): number {
    return this.depths[node] as number;
  }

  private add(piece: string, id: number): void {
    let node = ROOT;
    for (let at = 0; at < piece.length; at++) {
      const code = piece.charCodeAt(at);
      const slot = this.slotOf(node, code);
      if (this.slots[slot] === 0) {
        this.slots[slot] = edgeOf(node, code);
        this.slots[slot + 1] = this.nodeCount;
        this.depths[this.nodeCount] = at + 1;
        this.nodeCount += 1;
      }
      node = this.slots[slot + 1] as number;
    }
    this.ids[node] = id;
  }

  /** Where the edge is, or would be. */
  private slotOf(node: number, code: number): number {
    const edge = edgeOf(node, code);
    const hash = Math.imul(edge, HASH_FACTOR);
    for (let slot = (hash ^ (hash >>> 16)) & this.slotMask; ; slot = (slot + 1) & this.slotMask) {
      const found = this.slots[slot * SLOT_NUMBERS];
      if (found === edge || found === 0) return slot * SLOT_NUMBERS;
    }
  }
}

const edgeOf = (node: number, code: number): number => node * ASCII_END + code + 1;

function isAscii(text: string): boolean {
  for (let at = 0; at < text.length; at++) if (text.charCodeAt(at) >= ASCII_END) return false;
  return true;
}

function commonLength(a: string, b: string): number {
  let length = 0;
  while (length < Math.min(a.length, b.length) && a.charCodeAt(length) === b.charCodeAt(length)) length += 1;
  return length;
}

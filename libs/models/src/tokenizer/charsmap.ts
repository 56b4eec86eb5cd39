/** These bits of a unit equal the byte that it stands for. */
const LABEL_MASK = 0x800000ff;

/**
 * Throws for a `precompiled_charsmap` (SentencePiece's normalisation: a double array trie, then the texts that its values point
 * to) that leads out of itself for any text: the Rust tokenizer ends its process there.
 */
export function checkCharsmap(base64: unknown): void {
  if (typeof base64 !== 'string' || !/^(?:[A-Za-z0-9+/]{4})*(?:[A-Za-z0-9+/]{2}==|[A-Za-z0-9+/]{3}=)?$/.test(base64))
    throw new Error('expected base64 for precompiled_charsmap');
  const bytes = Buffer.from(base64, 'base64');
  const trieBytes = bytes.length < 4 ? 0 : bytes.readUInt32LE(0);
  if (trieBytes === 0 || trieBytes % 4 !== 0 || trieBytes + 4 > bytes.length)
    throw new Error('expected a precompiled_charsmap that begins with the size of its trie');
  const units = Uint32Array.from({ length: trieBytes / 4 }, (_, i) => bytes.readUInt32LE(4 + 4 * i));
  checkTrie(units, bytes.subarray(4 + trieBytes));
}

/** Looks at every unit that a text can lead to. */
function checkTrie(units: Uint32Array, texts: Buffer): void {
  const seen = new Uint8Array(units.length);
  const pending = [0 ^ offsetOf(units[0] as number)];
  for (let base = pending.pop(); base !== undefined; base = pending.pop()) {
    for (let byte = 1; byte < 256; byte++) {
      const at = (base ^ byte) >>> 0;
      const unit = units[at];
      if (unit === undefined) throw new Error('expected a precompiled_charsmap whose trie ends in itself');
      if ((unit & LABEL_MASK) >>> 0 !== byte || seen[at] === 1) continue;
      seen[at] = 1;
      const next = (at ^ offsetOf(unit)) >>> 0;
      if (((unit >>> 8) & 1) === 1) checkValue(units[next], texts);
      pending.push(next);
    }
  }
}

const offsetOf = (unit: number): number => ((unit >>> 10) << ((unit & (1 << 9)) >>> 6)) >>> 0;

/** A value is where a text begins: at a character. */
function checkValue(unit: number | undefined, texts: Buffer): void {
  const start = unit === undefined ? Infinity : unit & 0x7fffffff;
  const first = texts[start];
  if (start > texts.length || (first !== undefined && (first & 0xc0) === 0x80))
    throw new Error('expected a precompiled_charsmap whose trie points to its texts');
}

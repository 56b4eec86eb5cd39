/** Taken out of `Math` once: looking up a global for every number is slow where globals are intercepted (Jest). */
const { imul } = Math;

/**
 * Seeded pseudo-random numbers that are the same on every machine: FNV-1a turns a text seed into 32 bits, SplitMix32
 * (a Weyl sequence with MurmurHash3's finaliser) stretches them. Only integer arithmetic and one division by a power
 * of two, so no library or platform difference can change a weight.
 */
export class Random {
  private state: number;

  constructor(seed: string) {
    let hash = 0x811c9dc5;
    for (const byte of Buffer.from(seed)) hash = imul(hash ^ byte, 0x01000193);
    this.state = hash >>> 0;
  }

  /** Uniform in [0, 2^32). */
  nextUint32(): number {
    this.state = (this.state + 0x9e3779b9) >>> 0;
    let z = this.state;
    z = imul(z ^ (z >>> 16), 0x85ebca6b);
    z = imul(z ^ (z >>> 13), 0xc2b2ae35);
    return (z ^ (z >>> 16)) >>> 0;
  }

  /** `count` values, uniform with mean 0 and the given standard deviation. */
  uniform(count: number, deviation: number): Float32Array {
    const values = new Float32Array(count);
    this.fillUniform(values, deviation);
    return values;
  }

  /** The next values of the same sequence. */
  fillUniform(values: Float32Array, deviation: number): void {
    const half = deviation * Math.sqrt(3);
    for (let i = 0; i < values.length; i++) values[i] = (this.nextUint32() / 2 ** 31 - 1) * half;
  }
}

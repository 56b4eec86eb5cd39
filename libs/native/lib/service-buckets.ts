/** As in src/control/service_times.h: whole microseconds up to 31; above, 32 buckets to each power of two. */
export const BUCKETS_PER_OCTAVE = 32;

/** Where a bucket begins, in ms; it ends where the next one begins. */
function lowerMs(bucket: number): number {
  if (bucket < BUCKETS_PER_OCTAVE) return bucket / 1000;
  const shift = Math.floor(bucket / BUCKETS_PER_OCTAVE) - 1;
  return ((BUCKETS_PER_OCTAVE + (bucket % BUCKETS_PER_OCTAVE)) * 2 ** shift) / 1000;
}

/** How many items took how long. */
export class ServiceCounts {
  private readonly counts = new Map<number, number>();

  /** `pairs`: bucket, count, bucket, count. */
  static of(pairs: readonly number[]): ServiceCounts {
    const result = new ServiceCounts();
    for (let i = 0; i + 1 < pairs.length; i += 2) result.add(pairs[i] ?? 0, pairs[i + 1] ?? 0);
    return result;
  }

  get total(): number {
    let total = 0;
    for (const count of this.counts.values()) total += count;
    return total;
  }

  add(bucket: number, count: number): void {
    this.counts.set(bucket, (this.counts.get(bucket) ?? 0) + count);
  }

  addAll(other: ServiceCounts): void {
    for (const [bucket, count] of other.counts) this.add(bucket, count);
  }

  /** What has been added since `earlier`; everything when that had more, since then it counted for another process. */
  since(earlier: ServiceCounts): ServiceCounts {
    const result = new ServiceCounts();
    for (const [bucket, count] of earlier.counts) if ((this.counts.get(bucket) ?? 0) < count) return this;
    for (const [bucket, count] of this.counts) {
      const grown = count - (earlier.counts.get(bucket) ?? 0);
      if (grown > 0) result.add(bucket, grown);
    }
    return result;
  }

  /** The time that a share `q` of the items did not exceed, interpolated within its bucket; null without items. */
  quantileMs(q: number): number | null {
    const rank = q * this.total;
    let below = 0;
    for (const [bucket, count] of [...this.counts].sort(([a], [b]) => a - b)) {
      if (below + count >= rank) return lowerMs(bucket) + ((lowerMs(bucket + 1) - lowerMs(bucket)) * (rank - below)) / count;
      below += count;
    }
    return null;
  }
}

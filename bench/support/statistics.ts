/** Value below which the given share (0–1) of the samples lies; nearest rank. */
export function quantile(samples: number[], share: number): number {
  const sorted = [...samples].sort((a, b) => a - b);
  return sorted[Math.min(sorted.length - 1, Math.floor(share * sorted.length))] ?? NaN;
}

/** The middle sample; of an even number the mean of the middle two, so that two rounds do not count as the better one. */
export const median = (samples: number[]): number =>
  (quantile(samples, 0.5) -
    quantile(
      samples.map((sample) => -sample),
      0.5,
    )) /
  2;

/** Value below which the given share (0–1) of the samples lies; nearest rank. */
export function quantile(samples: number[], share: number): number {
  const sorted = [...samples].sort((a, b) => a - b);
  return sorted[Math.min(sorted.length - 1, Math.floor(share * sorted.length))] ?? NaN;
}

export const median = (samples: number[]): number => quantile(samples, 0.5);

/**
 * Whether so many of `trials` are too many to be chance where each has the probability `expected` at most. By Chernoff's
 * bound (Hoeffding 1963, theorem 1): P(share >= s) <= exp(-n KL(s, p)). It holds for any number of trials, two as well as a
 * million, where a plain minimum of trials would either wait long for a canary that always fails or believe a few.
 */
export function isTooMany(count: number, trials: number, expected: number, chance: number): boolean {
  return trials > 0 && count / trials > expected && trials * divergence(count / trials, expected) >= -Math.log(chance);
}

/**
 * How many of `values` may lie above a value that is, but for `chance`, no less than their quantile `q`; 0 where there are
 * too few to say that of any but the largest. The same bound from below.
 */
export function valuesAbove(values: number, q: number, chance: number): number {
  const needed = -Math.log(chance);
  let above = Math.floor(values * (1 - q));
  while (above > 0 && values * divergence(above / values, 1 - q) < needed) above -= 1;
  return above;
}

/** Kullback-Leibler divergence of two coins, in nats. */
function divergence(share: number, expected: number): number {
  return term(share, expected) + term(1 - share, 1 - expected);
}

const term = (share: number, expected: number): number => (share === 0 ? 0 : share * Math.log(share / expected));

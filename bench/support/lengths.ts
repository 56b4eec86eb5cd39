import { SeededRandom } from '../../test/support/tensors';

/** Row lengths in tokens of the mixes that batching is judged by; all seeded. */
export const LENGTH_MIXES: Record<string, (random: SeededRandom) => number> = {
  'lognormal, median 40': (random) => clamp(Math.round(40 * Math.exp(0.7 * normal(random))), 4, 512),
  'uniform 8-256': (random) => random.integer(8, 256),
  'short, median 14': (random) => clamp(Math.round(14 * Math.exp(0.5 * normal(random))), 3, 64),
};

/** Box–Muller. */
function normal(random: SeededRandom): number {
  return Math.sqrt(-2 * Math.log(1 - random.next())) * Math.cos(2 * Math.PI * random.next());
}

const clamp = (value: number, low: number, high: number): number => Math.min(high, Math.max(low, value));

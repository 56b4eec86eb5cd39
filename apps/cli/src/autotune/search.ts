import { isSameLayout, type Layout, type Prediction } from '../parallel/cost-model';

export interface Settings {
  runRowsMax: number;
  runTokensMax: number;
  layout: Layout;
}

export interface Trial {
  settings: Settings;
  rowsPerSecond: number;
  /** Of one row, at half of what the present settings can do. */
  p99Ms: number;
}

const ROWS = [1, 4, 8, 16, 32, 64];
const TOKENS = [512, 2048, 4096, 8192];
/** So many of the layouts that are predicted to be the best are measured. */
export const LAYOUTS_TRIED = 4;
/** Less is what two measurements of one setting differ by. */
const GAIN_MIN = 1.05;
const P99_FACTOR = 1.1;

export type SizeKey = 'runRowsMax' | 'runTokensMax';
export const SIZE_KEYS: readonly SizeKey[] = ['runRowsMax', 'runTokensMax'];

/** One key after the other, each with the best of those before; what is tried already is left out. */
export function candidates(key: SizeKey, best: Settings): Settings[] {
  const values = { runRowsMax: ROWS, runTokensMax: TOKENS }[key];
  return values.filter((value) => value !== best[key]).map((value) => ({ ...best, [key]: value }));
}

/**
 * The layouts to measure, the most promising first: of those whose models are there, the most rows a second within the goal, then the
 * shortest latency.
 */
export function layoutsToTry(predictions: readonly Prediction[], present: Layout, limits: LayoutLimits): Prediction[] {
  const possible = predictions.filter(
    (each) => each.isMade && each.totalBytes <= limits.memoryBytes && !isSameLayout(each.layout, present),
  );
  const isWithin = ({ latencyMs }: Prediction): boolean => latencyMs <= (limits.goalMs ?? Infinity);
  const within = possible.filter(isWithin).sort((a, b) => b.rowsPerSecond - a.rowsPerSecond);
  const others = possible.filter((each) => !isWithin(each)).sort((a, b) => a.latencyMs - b.latencyMs);
  return [...within, ...others].slice(0, LAYOUTS_TRIED);
}

export interface LayoutLimits {
  /** `realtime.sloMs` of the model; null: none. */
  goalMs: number | null;
  memoryBytes: number;
}

/** The least p99 where none is within the goal. */
const fastestOf = (trials: readonly Trial[]): Trial | undefined => [...trials].sort((a, b) => a.p99Ms - b.p99Ms)[0];

/** How many trials a search takes at most, with the present settings before, and both after. */
export const trialsOf = (present: Settings, layouts: number): number =>
  SIZE_KEYS.reduce((sum, key) => sum + candidates(key, present).length, layouts + 3);

/** What a p99 may be: the goal of the model, or near that of the present settings. */
export const p99Goal = (present: Trial, sloMs: number | null): number => sloMs ?? present.p99Ms * P99_FACTOR;

/** The most rows a second of those within the goal; the present settings where none is better. */
export function bestOf(trials: readonly Trial[], present: Trial, sloMs: number | null): Trial {
  const goalMs = p99Goal(present, sloMs);
  const within = trials.filter(({ p99Ms, rowsPerSecond }) => p99Ms <= goalMs && rowsPerSecond >= GAIN_MIN * present.rowsPerSecond);
  return within.sort((a, b) => b.rowsPerSecond - a.rowsPerSecond)[0] ?? present;
}

/** The same; where the model's goal is missed by that, the most rows within it, though they be fewer, or else the least p99. */
export function bestForGoal(trials: readonly Trial[], present: Trial, sloMs: number | null): Trial {
  const best = bestOf(trials, present, sloMs);
  if (sloMs === null || best.p99Ms <= sloMs) return best;
  const within = trials.filter(({ p99Ms }) => p99Ms <= sloMs).sort((a, b) => b.rowsPerSecond - a.rowsPerSecond);
  return within[0] ?? fastestOf([present, ...trials]) ?? present;
}

export const isSame = (a: Settings, b: Settings): boolean =>
  a.runRowsMax === b.runRowsMax && a.runTokensMax === b.runTokensMax && isSameLayout(a.layout, b.layout);

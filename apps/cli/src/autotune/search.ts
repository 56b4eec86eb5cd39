export interface Settings {
  runRowsMax: number;
  runTokensMax: number;
  executors: number;
  /** Threads of one run, at most as many as executors. */
  executorThreads: number;
}

export interface Trial {
  settings: Settings;
  rowsPerSecond: number;
  /** Of one row, at half of what the present settings can do. */
  p99Ms: number;
}

const ROWS = [1, 4, 8, 16, 32, 64];
const TOKENS = [512, 2048, 4096, 8192];
const THREADS = [1, 2, 3, 4, 6, 8, 12, 16];
/** Less is what two measurements of one setting differ by. */
const GAIN_MIN = 1.05;
const P99_FACTOR = 1.1;

/** One key after the other, each with the best of those before; what is tried already is left out. */
export function candidates(key: keyof Settings, best: Settings, cpus: number): Settings[] {
  const executors = [1, 2, 4, 8, 16, 32, 64].filter((count) => count < cpus);
  const values = {
    runRowsMax: ROWS,
    runTokensMax: TOKENS,
    executors: [...executors, cpus],
    executorThreads: THREADS.filter((threads) => threads <= best.executors),
  }[key];
  return values
    .filter((value) => value !== best[key] && (key !== 'executors' || value >= best.executorThreads))
    .map((value) => ({ ...best, [key]: value }));
}

export const SEARCH_ORDER: readonly (keyof Settings)[] = ['executors', 'runRowsMax', 'runTokensMax'];

/** Whether runs of more threads are worth a try: several threads run for less time, and several runs at once give more rows. */
export const needsThreads = (best: Trial, sloMs: number | null): boolean => sloMs !== null && best.p99Ms > sloMs;

/** The least p99 where none is within the goal. */
export const fastestOf = (trials: readonly Trial[]): Trial | undefined => [...trials].sort((a, b) => a.p99Ms - b.p99Ms)[0];

/** How many trials a search takes at most, with the present settings before and after. */
export const trialsOf = (present: Settings, cpus: number): number =>
  [...SEARCH_ORDER, 'executorThreads' as const].reduce(
    (sum, key) => sum + candidates(key, { ...present, executors: key === 'executorThreads' ? cpus : present.executors }, cpus).length,
    3,
  );

/** What a p99 may be: the goal of the model, or near that of the present settings. */
export const p99Goal = (present: Trial, sloMs: number | null): number => sloMs ?? present.p99Ms * P99_FACTOR;

/** The most rows a second of those within the goal; the present settings where none is better. */
export function bestOf(trials: readonly Trial[], present: Trial, goalMs: number): Trial {
  const within = trials.filter(({ p99Ms, rowsPerSecond }) => p99Ms <= goalMs && rowsPerSecond >= GAIN_MIN * present.rowsPerSecond);
  return within.sort((a, b) => b.rowsPerSecond - a.rowsPerSecond)[0] ?? present;
}

export const isSame = (a: Settings, b: Settings): boolean =>
  a.runRowsMax === b.runRowsMax &&
  a.runTokensMax === b.runTokensMax &&
  a.executors === b.executors &&
  a.executorThreads === b.executorThreads;

/** What was measured of a canary in its window; null: too little to say. */
export interface CanaryFigures {
  /** Since when it is measured, Unix milliseconds. */
  sinceMs: number;
  /** All since then. */
  requestsTotal: number;
  /** In the window, as all that follows: answered, or failed by a fault of ours. */
  requests: number;
  errors: number;
  stableRequests: number;
  stableErrors: number;
  p99Ms: number | null;
  stableP99Ms: number | null;
  p99Ratio: number | null;
  comparedRows: number;
  /** Part of the compared rows whose answers agree with the stable version's. */
  agreement: number | null;
}

/** How the answers of a version's files compare with those of the stable one's, as far as one API process has seen since it began. */
export interface ModelComparison {
  model: string;
  version: string;
  stable: string;
  role: 'canary' | 'mirror';
  /** Live requests that both versions answered. */
  requests: number;
  /** Those that could not be run a second time, for lack of room or of a worker. */
  dropped: number;
  rows: number;
  agreeing: number;
  /** Rows whose answers have not the same form. */
  incomparable: number;
  /** Labels and entities that differ. */
  labelFlips: number;
  /** The least; null: no vectors. */
  cosineMin: number | null;
  /** Between two numbers; null: none were compared, or one was NaN or infinite. */
  largestDifference: number | null;
  /** Executor time of a row, divided by the stable version's; null: nothing was run. */
  timeRatio: number | null;
  /** Null: it is no canary. */
  canary: CanaryFigures | null;
}

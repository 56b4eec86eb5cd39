/** What the history keeps, in this order in each point. */
export const HISTORY_SERIES = [
  'liveRequestsPerSecond',
  'liveP50Ms',
  'liveP99Ms',
  'liveGoalMs',
  'liveQueueMs',
  'liveRefusedPerSecond',
  'batchRowsPerSecond',
  'cpuLive',
  'cpuBatch',
  'cpuSystem',
  'cpuIdle',
  'inflation',
] as const;
export type HistorySeries = (typeof HISTORY_SERIES)[number];

export interface HistoryPoint {
  /** Unix milliseconds. */
  atMs: number;
  /** As `HISTORY_SERIES`. CPU shares are means over the CPUs of the node's partitions. */
  values: (number | null)[];
}

/** Oldest first. */
export interface NodeHistory {
  stepMs: number;
  series: readonly HistorySeries[];
  points: HistoryPoint[];
}

export const HISTORY_MS = 15 * 60_000;

import type { BatchStatus } from '@app/contracts';

/** What `GET /status` of the runner says about the lane. */
export interface LaneStatus {
  batches: { id: string; status: BatchStatus; total: number; completed: number; failed: number; runningChunks: number; paused: string | null }[];
  rowsPerSecond: number;
  chunks: { running: number; waiting: number };
  redisIsReady: boolean;
}

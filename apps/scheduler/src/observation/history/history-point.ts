import { HISTORY_SERIES, type CpuShares, type HistoryPoint, type HistorySeries, type NodeView } from '@app/contracts';
import { roundedShare } from '../rounded';

/** What the history keeps of a view. */
export function historyPoint({ atMs, lanes, cpus, batchLane, inflation }: NodeView): HistoryPoint {
  const live = lanes.find(({ lane }) => lane === 'realtime');
  const shares = cpus.flatMap((cpu) => (cpu.partition === null ? [] : (cpu.shares ?? [])));
  const mean = (part: keyof CpuShares): number | null =>
    shares.length === 0 ? null : roundedShare(shares.reduce((sum, share) => sum + share[part], 0) / shares.length);
  const inflations = inflation.flatMap((each) => each.inflation ?? []);
  const values: Record<HistorySeries, number | null> = {
    liveRequestsPerSecond: live?.requestsPerSecond ?? null,
    liveP50Ms: live?.p50Ms ?? null,
    liveP99Ms: live?.p99Ms ?? null,
    liveGoalMs: live?.goal?.goalMs ?? null,
    liveQueueMs: live?.queueMs ?? null,
    liveRefusedPerSecond: live?.refusedPerSecond ?? null,
    batchRowsPerSecond: batchLane.rowsPerSecond,
    cpuLive: mean('live'),
    cpuBatch: mean('batch'),
    cpuSystem: mean('system'),
    cpuIdle: mean('idle'),
    inflation: inflations.length === 0 ? null : Math.max(...inflations),
  };
  return { atMs, values: HISTORY_SERIES.map((series) => values[series]) };
}

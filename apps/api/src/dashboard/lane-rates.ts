import { LANES, type Lane } from '@app/contracts';
import { quantileBetween, type Bucket, type MetricsView } from './metrics-view';
import { Readings } from './readings';
import type { LaneState } from './state';

/** What has happened on a lane since its processes started. */
interface LaneCounters {
  rows: number;
  runs: number;
  realTokens: number;
  padding: number;
  requests: number;
  errors: number;
  seconds: Bucket[];
}

/** What the lanes did in the last seconds. */
export class LaneRates {
  private readonly readings = new Readings<Record<Lane, LaneCounters>>();

  /** Takes a reading; `nowMs` on any steady clock. */
  read(metrics: MetricsView, nowMs: number): LaneState[] {
    const now = { realtime: countersOf(metrics, 'realtime'), batch: countersOf(metrics, 'batch') };
    const { before, seconds } = this.readings.add(now, nowMs);
    return LANES.map((lane) => ({
      lane,
      queueItems: metrics.sum('interleave_queue_items', { lane }),
      ...ratesBetween(before[lane], now[lane], seconds),
    }));
  }
}

function countersOf(metrics: MetricsView, lane: Lane): LaneCounters {
  return {
    rows: metrics.histogramSum('interleave_run_rows', { lane }),
    runs: metrics.sum('interleave_run_rows', { lane }),
    realTokens: metrics.sum('interleave_tokens_total', { lane, kind: 'real' }),
    padding: metrics.sum('interleave_tokens_total', { lane, kind: 'padded' }),
    requests: metrics.sum('interleave_requests_total', { lane }),
    errors: metrics.sum('interleave_refused_total', { lane }),
    seconds: metrics.buckets('interleave_request_seconds', { lane }),
  };
}

/** A counter that went down belongs to a process that was restarted: nothing is known for that window. */
function ratesBetween(before: LaneCounters, after: LaneCounters, seconds: number): Omit<LaneState, 'lane' | 'queueItems'> {
  const grown = (key: Exclude<keyof LaneCounters, 'seconds'>): number | null =>
    seconds > 0 && after[key] >= before[key] ? after[key] - before[key] : null;
  const perSecond = (count: number | null): number | null => (count === null ? null : count / seconds);
  const ratio = (part: number | null, whole: number | null): number | null => (part === null || !whole ? null : part / whole);
  const [rows, realTokens, padding] = [grown('rows'), grown('realTokens'), grown('padding')];
  const quantileMs = (q: number): number | null => {
    const value = quantileBetween(before.seconds, after.seconds, q);
    return value === null ? null : value * 1000;
  };
  return {
    rowsPerSecond: perSecond(rows),
    rowsPerRun: ratio(rows, grown('runs')),
    paddingShare: ratio(padding, (realTokens ?? 0) + (padding ?? 0)),
    requestsPerSecond: perSecond(grown('requests')),
    errorsPerSecond: perSecond(grown('errors')),
    p50Ms: quantileMs(0.5),
    p99Ms: quantileMs(0.99),
  };
}

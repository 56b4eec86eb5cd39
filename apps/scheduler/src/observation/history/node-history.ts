import { HISTORY_MS, HISTORY_SERIES, type HistoryPoint, type NodeHistory } from '@app/contracts';
import { rounded } from '../rounded';
import type { LineFile } from './line-file';

/** Between two points of the file. */
export const LONG_STEP_MS = 30_000;
export const LONG_MS = 24 * 60 * 60_000;
/** Of a day, with room to spare: about 130 bytes a point. */
export const HISTORY_FILE_BYTES_MAX = 512 * 1024;
/** What is read of the file at the start, whatever is in it. */
const LONG_POINTS_MAX = LONG_MS / LONG_STEP_MS;

/** In a long step the worst moment counts of these, and the mean of all others. */
const WORST: ReadonlySet<string> = new Set(['liveP99Ms', 'liveQueueMs', 'inflation']);

/** 15 minutes at the step of the samples in memory, a day at 30 s in memory and in a file. */
export class NodeHistoryStore {
  private short: HistoryPoint[];
  private long: HistoryPoint[];
  private step: HistoryPoint[] = [];

  constructor(
    private readonly file: LineFile,
    private readonly stepMs: number,
    nowMs: number,
  ) {
    const kept = file.read().filter(isPoint);
    this.long = kept.filter(({ atMs }) => atMs > nowMs - LONG_MS && atMs <= nowMs).slice(-LONG_POINTS_MAX);
    this.short = this.long.filter(({ atMs }) => atMs > nowMs - HISTORY_MS);
  }

  add(point: HistoryPoint): void {
    this.short = [...this.short.filter(({ atMs }) => atMs > point.atMs - HISTORY_MS), point];
    this.step.push(point);
    if (point.atMs - (this.step[0]?.atMs ?? point.atMs) < LONG_STEP_MS - this.stepMs) return;
    const merged = mergedPoint(this.step, point.atMs);
    this.step = [];
    this.long = [...this.long.slice(1 - LONG_POINTS_MAX), merged];
    this.file.append(merged);
  }

  /** Of the last 15 minutes. What is older than this scheduler has the step of the file. */
  recent(): NodeHistory {
    return { stepMs: this.stepMs, series: HISTORY_SERIES, points: this.short };
  }

  /** Of the last so many hours, 24 at most. */
  last(hours: number, nowMs: number): NodeHistory {
    const points = this.long.filter(({ atMs }) => atMs > nowMs - Math.min(hours * 3_600_000, LONG_MS));
    return { stepMs: LONG_STEP_MS, series: HISTORY_SERIES, points };
  }
}

function mergedPoint(points: readonly HistoryPoint[], atMs: number): HistoryPoint {
  const values = HISTORY_SERIES.map((series, index) => {
    const known = points.flatMap((point) => point.values[index] ?? []);
    if (known.length === 0) return null;
    return WORST.has(series) ? Math.max(...known) : rounded(known.reduce((sum, value) => sum + value, 0) / known.length);
  });
  return { atMs, values };
}

/** Of a file that anything may have been done to. */
function isPoint(value: unknown): value is HistoryPoint {
  if (typeof value !== 'object' || value === null) return false;
  const { atMs, values } = value as Partial<Record<keyof HistoryPoint, unknown>>;
  return (
    typeof atMs === 'number' &&
    Array.isArray(values) &&
    values.length === HISTORY_SERIES.length &&
    values.every((each) => each === null || typeof each === 'number')
  );
}

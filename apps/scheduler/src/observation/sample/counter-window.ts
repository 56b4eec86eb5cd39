import { counterKey, type Counts } from './counted';
import { quantileBetween, type Bucket } from './metrics-view';

export const RATE_WINDOW_MS = 10_000;
export const SHARE_WINDOW_MS = 60_000;

interface Reading {
  atMs: number;
  counts: Counts;
}

/** The readings of the last minute, and what happened between two of them. */
export class CounterHistory {
  private readings: Reading[] = [];

  /** `nowMs` on any steady clock. */
  add(total: Counts, nowMs: number): void {
    this.readings = [...this.readings.filter(({ atMs }) => atMs >= nowMs - SHARE_WINDOW_MS), { atMs: nowMs, counts: new Map(total) }];
  }

  /** Since the oldest reading that is not older than `windowMs`. */
  last(windowMs: number): CounterWindow {
    const newest = this.readings.at(-1) ?? { atMs: 0, counts: new Map<string, number>() };
    const oldest = this.readings.find(({ atMs }) => atMs >= newest.atMs - windowMs) ?? newest;
    return new CounterWindow(oldest, newest);
  }
}

/** How much counters grew in some time; all null or 0 while there is one reading only. */
export class CounterWindow {
  readonly seconds: number;
  private readonly bounds = new Map<string, [text: string, le: number][]>();

  constructor(
    private readonly oldest: Reading,
    private readonly newest: Reading,
  ) {
    this.seconds = (newest.atMs - oldest.atMs) / 1000;
  }

  /** `labels` as `counted.ts` has them for this counter, in its order. */
  grown(name: string, labels: Record<string, string>): number {
    const key = counterKey(name, Object.keys(labels), Object.values(labels));
    return (this.newest.counts.get(key) ?? 0) - (this.oldest.counts.get(key) ?? 0);
  }

  perSecond(name: string, labels: Record<string, string>): number | null {
    return this.seconds > 0 ? this.grown(name, labels) / this.seconds : null;
  }

  /** Null without observations. `labels` without `le`. */
  quantile(name: string, labels: Record<string, string>, q: number): number | null {
    const buckets = ({ counts }: Reading): Bucket[] => {
      const key = counterKey(`${name}_bucket`, [...Object.keys(labels), 'le'], Object.values(labels));
      return this.boundsOf(name).map(([text, le]) => ({ le, count: counts.get(`${key}\n${text}`) ?? 0 }));
    };
    return quantileBetween(buckets(this.oldest), buckets(this.newest), q);
  }

  /** Values of the last label of counters whose other labels are these; what `grown` takes. */
  values(name: string, labels: Record<string, string>, last: string): string[] {
    const prefix = `${counterKey(name, [...Object.keys(labels), last], Object.values(labels))}\n`;
    return [...this.newest.counts.keys()].filter((key) => key.startsWith(prefix)).map((key) => key.slice(prefix.length));
  }

  /** Ascending. They are the same for all series of a histogram. */
  private boundsOf(name: string): [text: string, le: number][] {
    const known = this.bounds.get(name);
    if (known !== undefined) return known;
    const texts = [...this.newest.counts.keys()]
      .filter((key) => key.startsWith(`${name}_bucket{`))
      .map((key) => key.slice(key.lastIndexOf('\n') + 1));
    const bounds = [...new Set(texts)].map((text): [string, number] => [text, text === '+Inf' ? Infinity : Number(text)]);
    bounds.sort(([, a], [, b]) => a - b);
    this.bounds.set(name, bounds);
    return bounds;
  }
}

import type { SupervisionTimings } from './process-spec';

const STORM_RESTARTS_MIN = 5;
const STORM_WINDOW_MS = 60_000;
const EXPLAINED_MS_MAX = 100;

export interface RestartDecision {
  delayMs: number;
  /** True once per storm: it began with this restart. */
  stormBegins: boolean;
}

/** When a process that ended is started again: exponential delays, the shortest one again after a healthy time. */
export class RestartPolicy {
  private exponent = 0;
  private readySinceMs: number | null = null;
  private recentMs: number[] = [];
  private inStorm = false;

  constructor(
    private readonly timings: Pick<SupervisionTimings, 'backoffMinMs' | 'backoffMaxMs' | 'healthyMs'>,
    private readonly nowMs: () => number = () => performance.now(),
  ) {}

  started(): void {
    this.readySinceMs = null;
  }

  answered(): void {
    const nowMs = this.nowMs();
    this.readySinceMs ??= nowMs;
    if (nowMs - this.readySinceMs < this.timings.healthyMs) return;
    this.exponent = 0;
    this.inStorm = false;
  }

  /** `isExplained`: it died of one model, which has limits of its own; the others do not wait for long. */
  ended(isExplained: boolean): RestartDecision {
    const nowMs = this.nowMs();
    const delayMs = Math.min(isExplained ? EXPLAINED_MS_MAX : this.timings.backoffMaxMs, this.timings.backoffMinMs * 2 ** this.exponent);
    if (this.timings.backoffMinMs * 2 ** this.exponent < this.timings.backoffMaxMs) this.exponent++;
    this.recentMs = [...this.recentMs.filter((atMs) => nowMs - atMs < STORM_WINDOW_MS), nowMs];
    const stormBegins = !this.inStorm && this.recentMs.length >= STORM_RESTARTS_MIN;
    this.inStorm ||= stormBegins;
    return { delayMs, stormBegins };
  }
}

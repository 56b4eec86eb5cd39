import type { CanaryFigures, PlacedRelease } from '@app/contracts';
import { figuresOf, judge, type Judgement, type Trial } from './judge';
import { RequestWindow } from './request-window';

/** Where nothing says what is judged. */
const WINDOW_MS = 120_000;
/** Of a canary's requests, one in so many ms at most runs again on the stable version. */
const SAMPLE_MS = 50;

/** One canary beside the stable version, from its first moment in this process. Moments are Unix milliseconds. */
export class CanaryTrial {
  readonly canary: RequestWindow;
  readonly stable: RequestWindow;
  private requests = 0;
  private sampledMs = -Infinity;

  constructor(
    private release: PlacedRelease,
    private readonly sinceMs: number,
  ) {
    const windowMs = release.rollback?.windowMs ?? WINDOW_MS;
    this.canary = new RequestWindow(windowMs);
    this.stable = new RequestWindow(windowMs);
  }

  /** Rules that have changed hold for what was measured before. */
  follow(release: PlacedRelease): void {
    this.release = release;
  }

  /** One more came to the canary. */
  count(): void {
    this.requests += 1;
  }

  /** Whether the request that was just answered is to be compared with the stable version's answer. */
  takesSample(nowMs: number): boolean {
    if ((this.release.rollback?.minAgreement ?? null) === null || nowMs - this.sampledMs < SAMPLE_MS) return false;
    this.sampledMs = nowMs;
    return true;
  }

  /** Null: it goes on; and where it saw no request, which another process may have. */
  judge(nowMs: number): Judgement | null {
    return this.requests === 0 ? null : judge(this.trial(nowMs), this.release.rollback, this.release.promote);
  }

  figures(nowMs: number): CanaryFigures {
    return figuresOf(this.trial(nowMs));
  }

  private trial(nowMs: number): Trial {
    const { requests, sinceMs } = this;
    return { canary: this.canary.totals(nowMs), stable: this.stable.totals(nowMs), sinceMs, ageMs: nowMs - sinceMs, requests };
  }
}

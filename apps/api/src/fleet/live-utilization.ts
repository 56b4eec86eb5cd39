import { Inject, Injectable } from '@nestjs/common';
import { TenantShares } from '../shares/tenant-shares';

/** Shorter ones say little. */
const WINDOW_MS_MIN = 500;

/** Share of the live executors' time that went into answers, between two readings. */
@Injectable()
export class LiveUtilization {
  private atMs = performance.now();
  private ranMs = 0;
  private latest: number | null = null;

  constructor(@Inject(TenantShares) private readonly shares: Pick<TenantShares, 'ranMs'>) {}

  /** 0 to 1; null before the first window is over. */
  read(executors: number, nowMs = performance.now()): number | null {
    const wallMs = nowMs - this.atMs;
    if (wallMs < WINDOW_MS_MIN || executors === 0) return this.latest;
    const { ranMs } = this.shares;
    this.latest = Math.min(1, (ranMs - this.ranMs) / (wallMs * executors));
    this.atMs = nowMs;
    this.ranMs = ranMs;
    return this.latest;
  }
}

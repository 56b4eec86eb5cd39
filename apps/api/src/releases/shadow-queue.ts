import { setTimeout as sleep } from 'node:timers/promises';

export interface ShadowLimits {
  /** That wait or run. */
  requestsMax: number;
  /** Held by them. */
  bytesMax: number;
}

/** A second run of a request: it is prepared on the event loop, and run elsewhere. Neither rejects. */
export interface ShadowWork {
  bytes: number;
  /** Null: it cannot be run. */
  prepare(): Promise<(() => Promise<void>) | null>;
}

/**
 * Holds the requests that run a second time; full is an answer. They are prepared one at a time, and between two of them
 * the event loop is left to live requests for at least as long as the last one took.
 */
export class ShadowQueue {
  private readonly waiting: ShadowWork[] = [];
  private requests = 0;
  private bytes = 0;
  private isPreparing = false;

  constructor(private readonly limits: ShadowLimits) {}

  /** False: there is no room. */
  offer(work: ShadowWork): boolean {
    const { requestsMax, bytesMax } = this.limits;
    if (this.requests >= requestsMax || this.bytes + work.bytes > bytesMax) return false;
    this.requests += 1;
    this.bytes += work.bytes;
    this.waiting.push(work);
    if (!this.isPreparing) void this.prepareAll();
    return true;
  }

  /** What waits is forgotten; what runs goes on. */
  clear(): void {
    for (const work of this.waiting.splice(0)) this.leave(work);
  }

  private async prepareAll(): Promise<void> {
    this.isPreparing = true;
    for (let work = this.waiting.shift(); work !== undefined; work = this.waiting.shift()) {
      const beganMs = performance.now();
      await this.begin(work);
      await sleep(Math.ceil(performance.now() - beganMs), undefined, { ref: false });
    }
    this.isPreparing = false;
  }

  private async begin(work: ShadowWork): Promise<void> {
    const run = await work.prepare();
    if (run === null) this.leave(work);
    else void run().finally(() => this.leave(work));
  }

  private leave(work: ShadowWork): void {
    this.requests -= 1;
    this.bytes -= work.bytes;
  }
}

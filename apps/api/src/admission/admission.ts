import { InterleaveError } from '@app/contracts';

/** Weight of the newest observation in the moving average of milliseconds per item. */
const EWMA_WEIGHT = 0.1;
const RETRY_AFTER_SECONDS_MAX = 60;

/**
 * Bounds the live items in flight. Full is an answer, not a wait: `overloaded` with a `Retry-After` computed from how
 * fast items were answered lately. Callers of the event loop only.
 */
export class Admission {
  private itemsInFlight = 0;
  /** Milliseconds per item of the whole node while it had work; null before the first item was answered. */
  private msPerItem: number | null = null;
  private lastChangeMs = 0;

  constructor(
    /** Asked at every decision: it changes with the placement. */
    private readonly limit: () => number,
    private readonly nowMs: () => number = () => performance.now(),
  ) {}

  get itemsMax(): number {
    return this.limit();
  }

  get inFlight(): number {
    return this.itemsInFlight;
  }

  /** The look before a body is read: refuses when not even one item more has room behind those that are on their way. */
  checkRoom(itemsAhead: number): void {
    if (this.itemsInFlight + itemsAhead >= this.itemsMax) throw this.full(1 + Math.ceil(itemsAhead));
  }

  /** Takes room for the items of one request, all or none; give it back with `release`. */
  admit(items: number): void {
    if (items > this.itemsMax) {
      throw new InterleaveError(
        'too_large',
        `The request has ${items} items, at most ${this.itemsMax} can be in flight at once; send fewer per request, or a batch`,
      );
    }
    if (this.itemsInFlight + items > this.itemsMax) throw this.full(items);
    if (this.itemsInFlight === 0) this.lastChangeMs = this.nowMs();
    this.itemsInFlight += items;
  }

  /** `answered` false: the items were refused or given up and say nothing about the service rate. */
  release(items: number, answered: boolean): void {
    this.itemsInFlight -= items;
    if (!answered || items === 0) return;
    const nowMs = this.nowMs();
    const observed = (nowMs - this.lastChangeMs) / items;
    this.lastChangeMs = nowMs;
    this.msPerItem = this.msPerItem === null ? observed : this.msPerItem + EWMA_WEIGHT * (observed - this.msPerItem);
  }

  /** Time until `items` more have room, at the recent rate. */
  private full(items: number): InterleaveError {
    const excessItems = this.itemsInFlight + items - this.itemsMax;
    const waitSeconds = Math.ceil((excessItems * (this.msPerItem ?? 0)) / 1000);
    const retryAfterSeconds = Math.min(Math.max(waitSeconds, 1), RETRY_AFTER_SECONDS_MAX);
    return new InterleaveError(
      'overloaded',
      `The queue is full (${this.itemsInFlight} of ${this.itemsMax} items in flight); try again in ${retryAfterSeconds} s`,
      {
        retryAfterSeconds,
      },
    );
  }
}

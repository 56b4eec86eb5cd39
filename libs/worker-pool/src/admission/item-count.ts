import { InterleaveError } from '@app/contracts';
import { overloaded } from './retry-after';

/** Weight of the newest observation in the moving average of milliseconds per item. */
const EWMA_WEIGHT = 0.1;

export interface ItemCountOptions {
  /** Asked at every decision: it changes with the placement. */
  itemsMax: () => number;
  /** Predicted milliseconds until so many items more have room; null: not known. Default: never known. */
  predictedMs?: (items: number) => number | null;
  /** Default: the monotonic clock. */
  nowMs?: () => number;
}

/**
 * Bounds the live items that are admitted and not yet answered. Full is an answer, not a wait: `overloaded`, with the time to wait as
 * predicted, or else from how fast items were answered lately. Callers of the event loop only.
 */
export class ItemCount {
  private readonly itemsMax: () => number;
  private readonly predictedMs: (items: number) => number | null;
  private readonly nowMs: () => number;
  private itemsInFlight = 0;
  /** While there was work; null before the first item was answered. */
  private msPerItem: number | null = null;
  private lastChangeMs = 0;

  constructor({ itemsMax, predictedMs = () => null, nowMs = () => performance.now() }: ItemCountOptions) {
    this.itemsMax = itemsMax;
    this.predictedMs = predictedMs;
    this.nowMs = nowMs;
  }

  get inFlight(): number {
    return this.itemsInFlight;
  }

  /**
   * The look before a body is read: refuses when not even one item more has room behind those that are on their way.
   * `factor`, here and in `admit`: how many times the places there are for this request.
   */
  checkRoom(itemsAhead: number, factor = 1): void {
    if (this.itemsInFlight + itemsAhead >= factor * this.itemsMax()) throw this.full(1 + Math.ceil(itemsAhead));
  }

  /** Throws `too_large` for more items than have room at any time. */
  checkFits(items: number): void {
    const itemsMax = this.itemsMax();
    if (items <= itemsMax) return;
    throw new InterleaveError(
      'too_large',
      `The request has ${items} items, at most ${itemsMax} can be in flight at once; send fewer per request, or a batch, or raise realtime.queueItemsMax in interleave.yaml`,
    );
  }

  /** Takes room for the items of one request, all or none; give it back with `release`. */
  admit(items: number, factor = 1): void {
    this.checkFits(items);
    if (this.itemsInFlight + items > factor * this.itemsMax()) throw this.full(items);
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

  /** Time until so many of the items in flight are answered; 0: not known. */
  waitMs(items: number): number {
    return this.predictedMs(items) ?? items * (this.msPerItem ?? 0);
  }

  private full(items: number): InterleaveError {
    const itemsMax = this.itemsMax();
    return overloaded(
      `The queue is full (${this.itemsInFlight} of ${itemsMax} items in flight)`,
      this.waitMs(this.itemsInFlight + items - itemsMax),
    );
  }
}

import type { InterleaveError, UnreadRequest } from '@app/contracts';
import type { WorkerSlot } from '../channel/worker-slot';
import type { PendingRequest } from '../pool/pending';
import { ItemCount } from './item-count';
import { checkUnread, weighItems, workersInTime, type Ahead, type WorkerInTime } from './predicted-time';
import { overloaded } from './retry-after';

const NS_PER_MS = 1e6;
/** Of the places: what tenants that compete have together. They wait in this process, not in the workers. */
const COMPETING_FACTOR = 2;

/** Where a request of a tenant stands that competes with others. */
export interface Standing {
  /** Predicted work that goes ahead of one that costs so much, in ns of so many executors. */
  aheadNs(costNs: number, executors: number): number;
  /** Whether the tenant keeps within its part of so many places with so many items more. */
  hasPart(items: number, itemsMax: number): boolean;
}

/** Decides which live requests are taken: by the time until their answers as it is predicted, then by their number. */
export class LiveAdmission {
  private readonly count: ItemCount;

  /** `slots`: the workers there are now. */
  constructor(private readonly slots: () => WorkerSlot[]) {
    this.count = new ItemCount({ itemsMax: () => this.itemsMax(), predictedMs: (items) => this.predictedMs(items) });
  }

  /** Live items that were admitted and have not left. */
  get inFlight(): number {
    return this.count.inFlight;
  }

  /** As `InferenceBackend.checkAhead`, of a model that these workers have. */
  checkUnread(
    workers: WorkerSlot[],
    key: string | null,
    request: Omit<UnreadRequest, 'model' | 'version' | 'share'>,
    standing: Standing | null,
  ): number {
    const { aheadNs } = request;
    const workNs = checkUnread(workers, key, request, (costNs) => aheadBy(standing, { costNs, unreadNs: aheadNs, workers }));
    this.count.checkRoom(request.itemsAhead, this.roomFactor(standing, 1));
    return workNs;
  }

  /**
   * Takes a request, to be given back by `leave`; returns those of the workers that can be expected to answer it in time. Throws
   * `overloaded`, and `too_large` for one that never has room.
   */
  admit(request: PendingRequest, workers: WorkerSlot[], timeoutMs: number, standing: Standing | null = null): WorkerInTime[] {
    const { key, items } = request;
    this.count.checkFits(items.length);
    weighItems(items, key, workers[0]);
    const costNs = items.reduce((sumNs, { expectedNs }) => sumNs + expectedNs, 0);
    const inTime = workersInTime(workers, request, timeoutMs, aheadBy(standing, { costNs, unreadNs: 0, workers }));
    this.count.admit(items.length, this.roomFactor(standing, items.length));
    request.isCounted = true;
    return inTime;
  }

  /** Call when a request ends, admitted or not. */
  leave(request: PendingRequest): void {
    if (request.isCounted) this.count.release(request.items.length, request.hasResult);
    request.isCounted = false;
  }

  /** What to answer when the workers themselves have no room for so many items of a request that was admitted. */
  full(items: number): InterleaveError {
    return overloaded('All workers are at capacity', this.count.waitMs(items));
  }

  /** A tenant within its part finds room, however many items the others have there. */
  private roomFactor(standing: Standing | null, items: number): number {
    return standing?.hasPart(items, this.itemsMax()) === true ? COMPETING_FACTOR : 1;
  }

  /** What the queues of all workers hold. Without a worker the placement, not the count, decides what to answer. */
  private itemsMax(): number {
    return this.slots().reduce((sum, { plan }) => sum + plan.queueItemsMax, 0) || Infinity;
  }

  /** Time in which so many of the items in flight leave, by the predicted work of the workers. */
  private predictedMs(items: number): number | null {
    const busy = this.slots().filter(({ backlog }) => backlog.expectedNs > 0);
    if (busy.length === 0) return null;
    const sum = (of: (slot: WorkerSlot) => number): number => busy.reduce((total, slot) => total + of(slot), 0);
    const drainMs = sum(({ backlog }) => backlog.expectedNs) / sum(({ executors }) => executors) / NS_PER_MS;
    return drainMs * Math.min(1, items / sum(({ inFlightItems }) => inFlightItems));
  }
}

function aheadBy(
  standing: Standing | null,
  { costNs, unreadNs, workers }: { costNs: number; unreadNs: number; workers: WorkerSlot[] },
): Ahead {
  if (standing === null) return { ns: unreadNs, takesTurns: false };
  const executors = workers.reduce((sum, slot) => sum + slot.executors, 0);
  return { ns: unreadNs + (executors === 0 ? 0 : standing.aheadNs(costNs, executors)), takesTurns: true };
}

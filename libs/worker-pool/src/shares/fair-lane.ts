import type { InterleaveError, TenantShare } from '@app/contracts';
import type { LiveAdmission, Standing } from '../admission/live-admission';
import { waitObserver } from '../admission/predicted-time';
import type { WorkerSlot } from '../channel/worker-slot';
import type { Dispatcher } from '../pool/dispatcher';
import type { PendingItem, PendingRequest } from '../pool/pending';
import { Competition } from './competition';
import { FairQueue, type Ticket } from './fair-queue';

/** What workers hold for each executor: three runs of the longest, so that the coalescer has a choice. */
const HELD_NS_MAX = 120e6;
/** The same where nobody knows what items cost: few, because each may take long. */
const HELD_ITEMS_MAX = 16;
/** Cost of an item until it was measured, where nobody knows it. */
const UNKNOWN_NS = 100e3;
/** A level of priority is worth so many ms of waiting, the default is level 128; see docs/scheduling.md §2. */
const LEVEL_MS = 10;
const LEVEL_DEFAULT = 128;

interface FairLaneOptions {
  dispatcher: Dispatcher;
  admission: LiveAdmission;
  /** Those that have not ended. */
  requests: () => Iterable<PendingRequest>;
}

/**
 * The live requests of tenants that compete. They wait here, in the order of the tenants' shares, and the workers hold
 * only as much as the next runs need. While one tenant is alone nothing waits here.
 */
export class FairLane {
  private readonly queue = new FairQueue<PendingItem>();
  private readonly competition = new Competition();
  private readonly dispatcher: Dispatcher;
  private readonly admission: LiveAdmission;
  private readonly requests: () => Iterable<PendingRequest>;

  constructor({ dispatcher, admission, requests }: FairLaneOptions) {
    this.dispatcher = dispatcher;
    this.admission = admission;
    this.requests = requests;
  }

  /** Predicted executor time of what waits here. */
  get waitingNs(): number {
    return this.queue.waitingNs;
  }

  /** Where a request of the tenant would stand; null: nobody competes with it. */
  standingOf(share: TenantShare | null): Standing | null {
    if (share === null || !this.isOnFor(share)) return null;
    return {
      aheadNs: (costNs, executors) => this.queue.aheadNs(share, costNs, executors),
      hasPart: (items, itemsMax) => this.queue.heldItems(share.tenant) + items <= this.queue.partOf(share) * itemsMax,
    };
  }

  /** Admits a live request of a model that workers have, or throws; false: nobody competes with it. */
  admit(request: PendingRequest, workers: WorkerSlot[], timeoutMs: number): boolean {
    const { share } = request;
    const standing = this.standingOf(share);
    if (share === null) return false;
    if (standing !== null && this.queue.size === 0 && !this.competition.isOn) this.recallOthers(share.tenant);
    this.competition.see(share.tenant);
    if (standing === null) return false;
    const [worker] = this.admission.admit(request, workers, timeoutMs, standing);
    if (worker !== undefined) {
      const onLeft = waitObserver(worker, request.items);
      for (const item of request.items) item.onLeft = onLeft;
    }
    this.add(request.items, share);
    this.run();
    return true;
  }

  /** Hands over what the workers can begin soon. Call after anything that may have made room. */
  run(): void {
    const full = new Set<WorkerSlot>();
    while (this.queue.size > 0) {
      const ticket = this.queue.take((key, goesAhead) => this.workerFor(key, goesAhead, full) !== undefined);
      const slot = ticket === null ? undefined : this.workerFor(ticket.key, ticket.goesAhead, full);
      if (ticket === null || slot === undefined) return;
      if (!this.submit(slot, ticket)) {
        full.add(slot);
        this.queue.putBack(ticket);
      }
    }
  }

  /** Fails what waits for a model that will not come; `verdict` says why, or null. */
  failHopeless(verdict: (key: string) => InterleaveError | null): void {
    if (this.queue.size === 0) return;
    for (const { key, items } of this.requests()) {
      const error = verdict(key);
      if (error !== null) for (const item of items) if (item.state === 'parked') item.settle(error);
    }
  }

  private isOnFor({ tenant }: TenantShare): boolean {
    return this.queue.size > 0 || this.competition.with(tenant);
  }

  /** What goes ahead does not wait until workers hold less. */
  private workerFor(key: string, goesAhead: boolean, full: Set<WorkerSlot>): WorkerSlot | undefined {
    return this.dispatcher.candidates(key).find((slot) => slot.roomItems > 0 && !full.has(slot) && (goesAhead || !holdsEnough(slot)));
  }

  private add(items: PendingItem[], share: TenantShare): void {
    const waiting = items.map((value) => ({
      value,
      key: value.request.key,
      costNs: value.expectedNs || UNKNOWN_NS,
      order: orderOf(value.request),
    }));
    for (const ticket of this.queue.add(share, waiting)) {
      const { value: item } = ticket;
      item.priority = 0; // it has had its turn by then
      item.goesAhead = ticket.goesAhead;
      item.onSettled = () => {
        if (ticket.state === 'waiting') this.queue.ended(ticket, null);
      };
    }
  }

  private submit(slot: WorkerSlot, ticket: Ticket<PendingItem>): boolean {
    const { value: item } = ticket;
    const isTaken = this.dispatcher.submitOne(slot, item, (executorNs) => this.queue.ended(ticket, executorNs));
    if (isTaken && item.state === 'settled') this.queue.ended(ticket, 0); // it could not be sent
    return isTaken;
  }

  /** What the only tenant so far has in the workers' queues comes back, so that it waits by its share. */
  private recallOthers(tenant: string): void {
    for (const { items, share } of this.requests())
      if (share !== null && share.tenant !== tenant)
        for (const item of items)
          if (item.state === 'submitted') {
            item.onRecalled = () => this.add([item], share);
            item.flight?.cancel();
          }
  }
}

function holdsEnough({ backlog, inFlightItems, executors }: WorkerSlot): boolean {
  if (backlog.expectedNs > 0) return backlog.expectedNs >= HELD_NS_MAX * executors;
  return inFlightItems >= HELD_ITEMS_MAX * executors;
}

/** By age, and by priority within the tenant, as workers do it. */
function orderOf({ arrivedMs, priority }: PendingRequest): number {
  return arrivedMs + LEVEL_MS * (priority === 0 ? LEVEL_DEFAULT : priority);
}

import { type InferenceItem, type InferenceRequest, InterleaveError, type ItemResult, type TenantShare } from '@app/contracts';

/** The end of one worker's connection, as the items that it was running share it. */
export interface WorkerDeath {
  isExplained: boolean;
}

/**
 * One item on its way to an answer.
 *
 *   parked ─→ submitted ─→ settled
 *     ↑          │ worker died, or refused it for now
 *     └──────────┘
 *
 * `parked` is also where it waits for a worker, for room, for its turn as a suspect or for its next attempt.
 */
export class PendingItem {
  state: 'parked' | 'submitted' | 'settled' = 'parked';
  /** Workers that died while running it. */
  deaths = 0;
  /** Those of them of which the worker itself said that its run was to blame. */
  ownDeaths = 0;
  /** The same deaths, as whoever looks for the input to blame keeps them. */
  readonly fatal: WorkerDeath[] = [];
  /** It was found to kill its workers. */
  isBlamed = false;
  /** Times a worker had no room for its answer. */
  enlargements = 0;
  /** Memory for the answer, when a worker asked for more than was computed; else 0. */
  responseBytesMin = 0;
  /** Times a worker said that it cannot take it now. */
  refusals = 0;
  /** Predicted work that it adds, in ns; 0: not known, or nobody waits for it. */
  expectedNs = 0;
  /** Items with the same one run once; null: it runs by itself, as far as is known. */
  contentKey: string | null = null;
  /** Of its batch dimension. */
  rows = 1;
  /** As the worker takes it; that of its request unless tenants compete. */
  priority: number;
  /** Of a tenant that had nothing to do: the worker runs it before all others. */
  goesAhead = false;
  /** While submitted: takes it out of the worker's queue. */
  flight: { cancel(): void } | null = null;
  /** Told when it has its answer, whoever gave it. */
  onSettled: (() => void) | null = null;
  /** Told when it leaves a worker: see `waitObserver`. */
  onLeft: ((hasEnded: boolean) => void) | null = null;
  /** Set while it is taken back from a worker's queue to wait elsewhere. */
  onRecalled: (() => void) | null = null;

  constructor(
    readonly request: PendingRequest,
    readonly position: number,
    readonly item: InferenceItem,
  ) {
    this.priority = request.priority;
  }

  settle(result: ItemResult | InterleaveError): void {
    if (this.state === 'settled') return;
    this.state = 'settled';
    this.flight = null;
    this.onSettled?.();
    this.request.itemSettled(this.position, result);
  }
}

/** The lowest priority that a channel can express. */
const PRIORITY_MAX = 255;

/** One call of `infer`: its items, its deadline, its promise. */
export class PendingRequest {
  readonly items: PendingItem[];
  readonly promise: Promise<(ItemResult | InterleaveError)[]>;
  readonly arrivedMs = performance.now();
  /** Its items take room among the live items. */
  isCounted = false;
  /** As `Bag` keeps it. */
  place = -1;
  private readonly results: (ItemResult | InterleaveError)[] = [];
  private readonly deadlineAtMs: number | null;
  private readonly timer: NodeJS.Timeout | null;
  private readonly onAbort = (): void => this.abandon(new InterleaveError('client_closed', 'the caller has gone'));
  private unsettled: number;
  private resolve: (results: (ItemResult | InterleaveError)[]) => void = () => undefined;

  /** `key` names the revision; `onEnd` is called once, after the last item. */
  constructor(
    readonly key: string,
    private readonly request: InferenceRequest,
    private readonly onEnd: (request: PendingRequest) => void,
  ) {
    this.items = request.items.map((item, position) => new PendingItem(this, position, item));
    this.unsettled = this.items.length;
    this.promise = new Promise((resolve) => (this.resolve = resolve));
    const { timeoutMs, signal } = request;
    this.deadlineAtMs = timeoutMs === null ? null : performance.now() + timeoutMs;
    // A hung worker must not hold the caller, so the deadline is kept here as well as in the worker.
    this.timer = timeoutMs === null ? null : setTimeout(() => this.expire(), Math.min(Math.ceil(timeoutMs), 0x7fffffff));
    signal?.addEventListener('abort', this.onAbort, { once: true });
  }

  /** 0: not known. */
  get bodyBytes(): number {
    return this.request.bodyBytes ?? 0;
  }

  /** As the worker takes it. */
  get priority(): number {
    return Math.min(this.request.priority, PRIORITY_MAX);
  }

  /** Null: it belongs to no tenant. */
  get share(): TenantShare | null {
    return this.request.share ?? null;
  }

  /** An item of it ran for so long. */
  ran(executorNs: number): void {
    if (executorNs > 0) this.request.onRan?.(executorNs);
  }

  /** No item of it shares a run. */
  get runAlone(): boolean {
    return this.request.runAlone ?? false;
  }

  /** From the start on; null: no deadline. */
  get timeoutMs(): number | null {
    return this.request.timeoutMs;
  }

  /** At least one of its items was answered with a result. */
  get hasResult(): boolean {
    return this.results.some((result) => !(result instanceof InterleaveError));
  }

  /** A live caller would rather be refused than wait for room. */
  get isLive(): boolean {
    return this.deadlineAtMs !== null;
  }

  /** Null: no deadline. */
  timeLeftMs(): number | null {
    return this.deadlineAtMs === null ? null : Math.max(0, this.deadlineAtMs - performance.now());
  }

  /** Answers all items that have no answer yet, and takes them back from the workers. */
  abandon(error: InterleaveError): void {
    for (const item of this.items) {
      item.flight?.cancel();
      item.settle(error);
    }
  }

  /** Answers at the deadline. The worker finds by itself that it has passed, and counts it so: nothing is taken back. */
  private expire(): void {
    for (const item of this.items) item.settle(tooLate());
  }

  /** Forgets a request that was refused as a whole. */
  discard(): void {
    this.stopWatching();
    this.onEnd(this);
  }

  itemSettled(position: number, result: ItemResult | InterleaveError): void {
    this.results[position] = result;
    this.unsettled -= 1;
    if (this.unsettled > 0) return;
    this.discard();
    this.resolve(this.results);
  }

  private stopWatching(): void {
    if (this.timer !== null) clearTimeout(this.timer);
    this.request.signal?.removeEventListener('abort', this.onAbort);
  }
}

export const tooLate = (): InterleaveError => new InterleaveError('deadline_exceeded', 'the deadline passed before there was an answer');

/** Items of one model version that wait, first in, first out. Settled ones stay until they are met or in the way. */
export class ParkedItems {
  private items: PendingItem[] = [];

  /** Items that still wait; O(n), so for limits only when `length` is over them. */
  waiting(): number {
    this.items = this.items.filter((item) => item.state !== 'settled');
    return this.items.length;
  }

  /** An upper bound of `waiting()`. */
  get length(): number {
    return this.items.length;
  }

  push(items: PendingItem[]): void {
    for (const item of items) this.items.push(item);
  }

  /** These were there before the others. */
  prepend(items: PendingItem[]): void {
    this.items = [...items, ...this.items];
  }

  /** Takes out up to `count` items that still wait. */
  take(count: number): PendingItem[] {
    const taken: PendingItem[] = [];
    let position = 0;
    for (; position < this.items.length && taken.length < count; position += 1) {
      const item = this.items[position] as PendingItem;
      if (item.state !== 'settled') taken.push(item);
    }
    this.items.splice(0, position);
    return taken;
  }
}

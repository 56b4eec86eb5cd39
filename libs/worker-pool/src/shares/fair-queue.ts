import type { TenantShare } from '@app/contracts';

/** A tenant that could not be served for a while, its workers being taken, catches up by so much executor time at most. */
const CATCH_UP_NS_MAX = 1e9;
/** Of a tenant that had nothing to do, so much goes ahead of what the workers hold already: one run. */
const AHEAD_NS_MAX = 40e6;
/** Over so long, roughly, what a tenant brings is taken for what it will bring. */
const RATE_MS = 2000;
/** Steps to the wait: each takes in at least one more tenant that does not use its share, mostly all of them. */
const WAIT_STEPS_MAX = 8;
/** Tenants with nothing to do that are remembered because they had more than their share of late. */
const IDLE_TENANTS_MAX = 1024;
/** Ends of tickets that lie in a queue are swept when they are more than these and more than the rest. */
const ENDED_MAX = 32;

const NS_PER_MS = 1e6;

/** What waits, by its predicted cost and its place among the tenant's own. */
export interface Waiting<T> {
  readonly value: T;
  /** Where it may run: what is full for one is full for all with the same. */
  readonly key: string;
  readonly costNs: number;
  /** Smaller goes first, among those of the tenant with the same key. */
  readonly order: number;
}

interface Tenant {
  readonly name: string;
  weight: number;
  /** Executor time it was charged, divided by its weight; see `FairQueue`. */
  virtualNs: number;
  /** Predicted cost of what waits or runs, and of what waits. */
  heldNs: number;
  waitingNs: number;
  /** Predicted cost of what came, fading with RATE_MS since `rateMs`. */
  recentNs: number;
  rateMs: number;
  heldItems: number;
}

/** Something that waits for its turn, then runs, then has ended. */
export class Ticket<T> implements Waiting<T> {
  state: 'waiting' | 'running' | 'ended' = 'waiting';
  readonly value: T;
  readonly key: string;
  readonly costNs: number;
  readonly order: number;

  constructor(
    readonly tenant: Tenant,
    { value, key, costNs, order }: Waiting<T>,
    /** The tenant had nothing to do: it goes ahead of what other tenants have in the workers. */
    readonly goesAhead: boolean,
  ) {
    this.value = value;
    this.key = key;
    this.costNs = costNs;
    this.order = order;
  }
}

/** Tickets of one tenant and key in their order. */
class Line<T> {
  private tickets: Ticket<T>[] = [];
  private ended = 0;

  constructor(readonly tenant: Tenant) {}

  add(ticket: Ticket<T>): void {
    let position = this.tickets.length;
    while (position > 0 && (this.tickets[position - 1] as Ticket<T>).order > ticket.order) position -= 1;
    this.tickets.splice(position, 0, ticket);
  }

  /** The first that still waits. */
  head(): Ticket<T> | undefined {
    while (this.tickets[0]?.state === 'ended') {
      this.tickets.shift();
      this.ended -= 1;
    }
    return this.tickets[0];
  }

  removeHead(): void {
    this.tickets.shift();
  }

  /** Call when one of them has ended without its turn. */
  oneEnded(): void {
    this.ended += 1;
    if (this.ended <= ENDED_MAX || this.ended <= this.tickets.length / 2) return;
    this.tickets = this.tickets.filter(({ state }) => state === 'waiting');
    this.ended = 0;
  }
}

/**
 * Shares executor time between tenants by their weights. Each turn goes to the tenant that was charged least for its
 * weight; it is charged the predicted cost at its turn, and the difference to the measured afterwards. A tenant that
 * comes back begins where the others are: idle time is not saved up. After Sheng et al. 2024 (virtual token counter),
 * a fair queue that can correct its predictions. The clock serves `aheadNs` alone. No thread.
 */
export class FairQueue<T> {
  private readonly tenants = new Map<string, Tenant>();
  private readonly lines = new Map<string, Line<T>[]>();
  /** Charge, by weight, of the tenant whose turn was the furthest. */
  private clockNs = 0;
  private waitingCount = 0;
  private waitingCostNs = 0;

  constructor(private readonly nowMs: () => number = () => performance.now()) {}

  /** Tickets that wait. */
  get size(): number {
    return this.waitingCount;
  }

  /** Predicted executor time of the tickets that wait. */
  get waitingNs(): number {
    return this.waitingCostNs;
  }

  heldItems(tenant: string): number {
    return this.tenants.get(tenant)?.heldItems ?? 0;
  }

  /** The tenant's part of what the tenants with something to do get together, itself included. */
  partOf({ tenant, weight }: TenantShare): number {
    let others = 0;
    for (const other of this.tenants.values()) if (other.name !== tenant && other.heldItems > 0) others += other.weight;
    return weight / (weight + others);
  }

  /**
   * Predicted executor time until something of the tenant that costs so much has its turn, on so many executors. Of each other
   * tenant goes ahead what its share lets through, what this tenant owes included; or less, where it has and brings less.
   */
  aheadNs({ tenant, weight }: TenantShare, costNs: number, executors: number): number {
    const own = this.tenants.get(tenant);
    const ownNs = own?.heldNs ?? 0;
    if (ownNs === 0 && (own?.virtualNs ?? 0) <= this.clockNs) return 0;
    const turnNs = Math.max(own?.virtualNs ?? 0, this.clockNs) + ((own?.waitingNs ?? 0) + costNs) / weight;
    const others: Other[] = [];
    for (const other of this.tenants.values()) if (other.name !== tenant) others.push(this.otherUntil(other, turnNs));
    return waitNs(ownNs, others, executors) * executors;
  }

  private otherUntil(other: Tenant, turnNs: number): Other {
    const { heldNs, waitingNs, weight } = other;
    const virtualNs = heldNs === 0 ? Math.max(other.virtualNs, this.clockNs) : other.virtualNs;
    const mostNs = heldNs - waitingNs + Math.max(0, turnNs - virtualNs) * weight;
    return { heldNs, mostNs, rate: fadedNs(other, this.nowMs()) / (RATE_MS * NS_PER_MS) };
  }

  /** Puts what belongs to one request in line. */
  add(share: TenantShare, request: readonly Waiting<T>[]): Ticket<T>[] {
    const tenant = this.tenantOf(share);
    const owesNothing = tenant.heldItems === 0 && tenant.virtualNs <= this.clockNs;
    if (tenant.heldItems === 0) tenant.virtualNs = Math.max(tenant.virtualNs, this.clockNs);
    tenant.recentNs = fadedNs(tenant, this.nowMs());
    tenant.rateMs = this.nowMs();
    return request.map((waiting) => {
      const goesAhead = owesNothing && (tenant.heldItems === 0 || tenant.heldNs + waiting.costNs <= AHEAD_NS_MAX);
      const ticket = new Ticket<T>(tenant, waiting, goesAhead);
      tenant.heldNs += ticket.costNs;
      tenant.waitingNs += ticket.costNs;
      tenant.heldItems += 1;
      tenant.recentNs += ticket.costNs;
      this.beginsToWait(ticket);
      this.lineOf(tenant, ticket.key).add(ticket);
      return ticket;
    });
  }

  /**
   * Whose turn it is among those that can run now, those that go ahead perhaps where others cannot; null: none. Give each
   * back by `ended`, or by `putBack`.
   */
  take(canRun: (key: string, goesAhead: boolean) => boolean): Ticket<T> | null {
    let next: Ticket<T> | null = null;
    let chosen: Line<T> | null = null;
    for (const [key, lines] of this.lines) {
      const canAny = canRun(key, false);
      if (!canAny && !canRun(key, true)) continue;
      for (const line of lines) {
        const head = line.head();
        if (head === undefined || !(canAny || head.goesAhead) || (next !== null && !isBefore(head, next))) continue;
        next = head;
        chosen = line;
      }
    }
    if (next === null || chosen === null) return null;
    chosen.removeHead();
    this.dropIfEmpty(next.key, chosen);
    this.charge(next);
    return next;
  }

  /** Undoes `take`. */
  putBack(ticket: Ticket<T>): void {
    if (ticket.state !== 'running') return;
    ticket.state = 'waiting';
    ticket.tenant.virtualNs -= ticket.costNs / ticket.tenant.weight;
    ticket.tenant.waitingNs += ticket.costNs;
    this.beginsToWait(ticket);
    this.lineOf(ticket.tenant, ticket.key).add(ticket);
  }

  /** It needs no turn any more, or has run for so long; null: nobody knows how long, so the prediction holds. */
  ended(ticket: Ticket<T>, measuredNs: number | null): void {
    if (ticket.state === 'ended') return;
    const { state, tenant, costNs, key } = ticket;
    ticket.state = 'ended';
    tenant.heldNs -= costNs;
    tenant.heldItems -= 1;
    if (state === 'waiting') {
      tenant.waitingNs -= costNs;
      tenant.recentNs = Math.max(0, tenant.recentNs - costNs); // it brought nothing
    }
    if (tenant.heldItems === 0) tenant.heldNs = tenant.waitingNs = 0; // no rounding errors stay
    if (state === 'waiting') {
      this.waitsNoMore(ticket);
      const line = this.lines.get(key)?.find((candidate) => candidate.tenant === tenant);
      line?.oneEnded();
      if (line !== undefined) this.dropIfEmpty(key, line);
    } else if (measuredNs !== null) {
      tenant.virtualNs += (measuredNs - costNs) / tenant.weight;
    }
    this.forgetIdle();
  }

  private charge(ticket: Ticket<T>): void {
    const { tenant, costNs } = ticket;
    tenant.virtualNs = Math.max(tenant.virtualNs, this.clockNs - CATCH_UP_NS_MAX / tenant.weight);
    this.clockNs = Math.max(this.clockNs, tenant.virtualNs);
    tenant.virtualNs += costNs / tenant.weight;
    tenant.waitingNs -= costNs;
    ticket.state = 'running';
    this.waitsNoMore(ticket);
  }

  private beginsToWait({ costNs }: Ticket<T>): void {
    this.waitingCount += 1;
    this.waitingCostNs += costNs;
  }

  private waitsNoMore({ costNs }: Ticket<T>): void {
    this.waitingCount -= 1;
    this.waitingCostNs = this.waitingCount === 0 ? 0 : this.waitingCostNs - costNs; // no rounding errors stay
  }

  private tenantOf({ tenant: name, weight }: TenantShare): Tenant {
    const known = this.tenants.get(name);
    if (known !== undefined) {
      known.weight = weight;
      return known;
    }
    const nothing = { heldNs: 0, waitingNs: 0, heldItems: 0, recentNs: 0, rateMs: this.nowMs() };
    const created: Tenant = { name, weight, virtualNs: this.clockNs, ...nothing };
    this.tenants.set(name, created);
    return created;
  }

  private lineOf(tenant: Tenant, key: string): Line<T> {
    const lines = this.lines.get(key) ?? [];
    const known = lines.find((line) => line.tenant === tenant);
    if (known !== undefined) return known;
    const created = new Line<T>(tenant);
    this.lines.set(key, [...lines, created]);
    return created;
  }

  private dropIfEmpty(key: string, line: Line<T>): void {
    if (line.head() !== undefined) return;
    const left = (this.lines.get(key) ?? []).filter((other) => other !== line);
    if (left.length === 0) this.lines.delete(key);
    else this.lines.set(key, left);
  }

  /** Those that owe nothing need not be remembered, and of the others only so many. */
  private forgetIdle(): void {
    if (this.tenants.size <= IDLE_TENANTS_MAX) return;
    for (const tenant of this.tenants.values()) {
      if (this.tenants.size <= IDLE_TENANTS_MAX) return;
      if (tenant.heldItems === 0) this.tenants.delete(tenant.name);
    }
  }
}

function isBefore<T>(a: Ticket<T>, b: Ticket<T>): boolean {
  const [aNs, bNs] = [a.tenant.virtualNs, b.tenant.virtualNs];
  return aNs === bNs ? a.order < b.order : aNs < bNs;
}

function fadedNs({ recentNs, rateMs }: Tenant, nowMs: number): number {
  return recentNs * Math.exp((rateMs - nowMs) / RATE_MS);
}

/** Another tenant, as one that waits sees it. */
interface Other {
  heldNs: number;
  /** What goes ahead of it at most. */
  mostNs: number;
  /** Executor time that it brings in each time. */
  rate: number;
}

/**
 * How long so many executors take for `ownNs` and what the others have and bring meanwhile. Comes down from the wait where
 * all others use their shares: Newton's steps on a function that is linear between as many points as there are others.
 */
function waitNs(ownNs: number, others: Other[], executors: number): number {
  let wait = (ownNs + others.reduce((sum, { mostNs }) => sum + mostNs, 0)) / executors;
  for (let step = 0; step < WAIT_STEPS_MAX; step++) {
    let workNs = ownNs;
    let rates = 0;
    for (const { heldNs, mostNs, rate } of others) {
      const bringsLess = heldNs + rate * wait < mostNs;
      workNs += bringsLess ? heldNs : mostNs;
      if (bringsLess) rates += rate;
    }
    const next = rates < executors ? workNs / (executors - rates) : wait;
    if (next >= wait) return wait;
    wait = next;
  }
  return wait;
}

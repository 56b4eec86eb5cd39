/** Whose turn it may be, and what it counts. */
export interface Share {
  readonly tenant: string;
  /** Relative to other tenants'. */
  readonly tenantWeight: number;
  readonly batchId: string;
  /** Relative to other batches of the tenant. */
  readonly weight: number;
}

/** More are forgotten as soon as that changes nothing for them, or at the next turn. */
const NAMES_MAX = 1024;

/** Start-time fair queueing (Goyal, Vin and Cheng, 1996) between names, in cost divided by weight. */
class Clock {
  private readonly ends = new Map<string, number>();
  private nowAt = 0;

  constructor(private readonly lagMax: number) {}

  /** Where the next turn of this name begins: it gets nothing for the time in which it wanted none, but for `lagMax`. */
  startOf(name: string): number {
    return Math.max(this.nowAt - this.lagMax, this.ends.get(name) ?? -Infinity);
  }

  charge(name: string, cost: number): void {
    const start = this.startOf(name);
    this.nowAt = Math.max(this.nowAt, start);
    this.ends.set(name, start + cost);
    if (this.ends.size > NAMES_MAX) this.forgetIdle();
  }

  private forgetIdle(): void {
    for (const [name, end] of this.ends) if (end <= this.nowAt - this.lagMax) this.ends.delete(name);
  }
}

/**
 * Deals turns out to batches so that tenants, and the batches of each tenant, get cost (predicted executor time) in proportion to their
 * weights while they want more than they get. Who comes new begins where the others are.
 */
export class FairTurns {
  private readonly tenants: Clock;
  private readonly batches = new Map<string, Clock>();

  /**
   * `lagMax`, in cost divided by weight: one that wants nothing for a moment, because it reads its next rows, still gets what it would have
   * had. Without it, who has the larger share loses the most.
   */
  constructor(private readonly lagMax = 0) {
    this.tenants = new Clock(lagMax);
  }

  /** Tenants that are remembered. */
  get size(): number {
    return this.batches.size;
  }

  /** Whose turn it is; of those that are alike, the first. Null: there is none. */
  next<T>(waiting: Iterable<T>, shareOf: (one: T) => Share): T | null {
    let best: { one: T; tenantStart: number; start: number } | null = null;
    for (const one of waiting) {
      const { tenant, batchId } = shareOf(one);
      const tenantStart = this.tenants.startOf(tenant);
      const start = this.batches.get(tenant)?.startOf(batchId) ?? -Infinity;
      if (best === null || tenantStart < best.tenantStart || (tenantStart === best.tenantStart && start < best.start))
        best = { one, tenantStart, start };
    }
    return best?.one ?? null;
  }

  /** The turn was taken; `cost` in any unit, the same for all. */
  charge({ tenant, tenantWeight, batchId, weight }: Share, cost: number): void {
    this.tenants.charge(tenant, cost / tenantWeight);
    const clock = this.batches.get(tenant) ?? new Clock(this.lagMax);
    this.batches.delete(tenant);
    this.batches.set(tenant, clock);
    clock.charge(batchId, cost / weight);
    if (this.batches.size > NAMES_MAX) this.batches.delete(this.batches.keys().next().value ?? '');
  }
}

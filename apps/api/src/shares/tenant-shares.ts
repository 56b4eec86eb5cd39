import { InterleaveError, type InferenceBackend } from '@app/contracts';
import type { PreparedItems } from '@app/protocols';
import { LRUCache } from 'lru-cache';
import type { LiveCall } from '../live/live-call';
import { Budget, BURST_SECONDS, type BudgetRefusal } from './budget';
import type { TenantMetrics } from './tenant-metrics';

/** Budgets of the tenants that were seen last; one that is forgotten begins with a full one. */
const TENANTS_MAX = 4096;
const NS_PER_MS = 1e6;

/** What a request has taken of its tenant's budget. */
export interface Charge {
  /** As `InferenceRequest.onRan`. */
  ran(executorNs: number): void;
  /** It was answered or refused: what was predicted is given back, what ran is owed. */
  end(): void;
}

/**
 * Holds tenants to their shares of executor time, in both lanes, and counts what they use. Tells callers that have a limit where they
 * stand, in `RateLimit-Policy` and `RateLimit` (draft-ietf-httpapi-ratelimit-headers-11).
 */
export class TenantShares {
  private ranNs = 0;
  private readonly budgets = new LRUCache<string, Budget>({ max: TENANTS_MAX });

  constructor(
    private readonly metrics: TenantMetrics,
    private readonly nowMs: () => number = () => performance.now(),
  ) {}

  /** Executor time of all live requests so far. */
  get ranMs(): number {
    return this.ranNs / NS_PER_MS;
  }

  /** Before a body is read: throws `overloaded` where the tenant has nothing left. */
  look(call: LiveCall): void {
    const budget = this.budgetOf(call);
    const refusal = budget?.look() ?? null;
    if (budget !== null && refusal !== null) this.refuse(call, budget, refusal);
  }

  /** Takes what the request is predicted to cost in this lane, or throws `overloaded` with the time until it would be taken. */
  take(call: LiveCall, prepared: PreparedItems, backend: Pick<InferenceBackend, 'predictedNs'>): Charge {
    const budget = this.budgetOf(call);
    const predictedMs = budget === null ? 0 : backend.predictedNs(prepared) / NS_PER_MS;
    const refusal = budget?.take(predictedMs) ?? null;
    if (budget !== null && refusal !== null) this.refuse(call, budget, refusal);
    this.metrics.began(call.caller.tenant, call.caller.shareMsPerSecond);
    return {
      ran: (executorNs) => {
        this.ranNs += executorNs;
        this.metrics.used(call.caller.tenant, executorNs / NS_PER_MS);
        budget?.correct(0, executorNs / NS_PER_MS);
      },
      end: () => {
        this.metrics.ended(call.caller.tenant);
        if (budget === null) return;
        budget.correct(predictedMs, 0);
        tell(call, budget, budget.fullInMs);
      },
    };
  }

  private budgetOf({ caller: { tenant, shareMsPerSecond } }: LiveCall): Budget | null {
    if (shareMsPerSecond === null) return null;
    const known = this.budgets.get(tenant);
    if (known !== undefined) {
      known.setShare(shareMsPerSecond);
      return known;
    }
    const created = new Budget(shareMsPerSecond, this.nowMs);
    this.budgets.set(tenant, created);
    return created;
  }

  private refuse(call: LiveCall, budget: Budget, { waitMs }: BudgetRefusal): never {
    const { tenant } = call.caller;
    const shareMsPerSecond = budget.shareMsPerSecond;
    const retryAfterSeconds = Math.max(1, Math.ceil(waitMs / 1000));
    this.metrics.refused(tenant, call.lane, shareMsPerSecond);
    tell(call, budget, retryAfterSeconds * 1000);
    throw new InterleaveError(
      'overloaded',
      `Tenant ${tenant} has used its share of ${shareMsPerSecond} ms of executor time per second; try again in ${retryAfterSeconds} s, or send less`,
      { retryAfterSeconds },
    );
  }
}

/** Whole executor milliseconds and seconds, as the draft wants them. */
function tell(call: LiveCall, budget: Budget, windowMs: number): void {
  const left = Math.max(0, Math.floor(budget.remainingMs));
  call.notes['ratelimit-policy'] = `"share";q=${Math.floor(budget.burstMs)};qu="executor-milliseconds";w=${BURST_SECONDS}`;
  call.notes['ratelimit'] = `"share";r=${left};t=${Math.ceil(windowMs / 1000)}`;
}

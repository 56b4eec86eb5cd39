import { InterleaveError } from '@app/contracts';
import { loadAddon } from './addon';
import { itemWeight } from './model-cost';
import type { PendingItem } from './pending';
import type { WorkerSlot } from './worker-slot';

const NS_PER_MS = 1e6;
const NS_PER_S = 1e9;
/** Weight of the newest request in the moving average of what requests cost. */
const TYPICAL_WEIGHT = 1 / 16;
/** Of the deadline: what an unread request is taken to cost at most. */
const UNREAD_SHARE_MAX = 1 / 8;

/** Predicts what each item costs, where the model's cost is known, so that it counts while it is in flight. */
export function weighItems(items: PendingItem[], key: string, slot: WorkerSlot | undefined): void {
  const model = slot?.readyModel(key) ?? null;
  if (model === null || model.cost === null) return;
  const sharesRuns = model.signature.coalesce !== 'alone';
  for (const item of items) item.expectedNs = model.cost.expectedNs(itemWeight(item.item, model.signature), sharesRuns);
}

/** A worker that can be expected to answer a request in time. */
export interface InTime {
  slot: WorkerSlot;
  /** What the request costs at most by itself, in ns over all executors. */
  costHighNs: number;
}

/**
 * Of these workers those that can be expected to answer these items (of one request) in time behind what they have to do
 * already, in their order. Throws `overloaded` with a computed `Retry-After` when there are workers but none of these. A
 * worker that has nothing to do is always one: its predictions may be wrong, and only runs correct them.
 */
export function workersInTime(slots: WorkerSlot[], key: string, items: PendingItem[], timeoutMs: number): InTime[] {
  return inTimeOrRefuse(slots.map((slot) => ({ slot, costHighNs: requestHighNs(slot, key, items) })), timeoutMs);
}

/** What the request costs at most on this worker; remembered as typical for its model. */
function requestHighNs(slot: WorkerSlot, key: string, items: PendingItem[]): number {
  const model = slot.readyModel(key);
  if (model === null || model.cost === null) return 0;
  const { cost, signature } = model;
  const highNs = items.reduce((sum, { item }) => sum + cost.highNs(itemWeight(item, signature)), 0) / slot.executors;
  model.typicalHighNs += (model.typicalHighNs === 0 ? 1 : TYPICAL_WEIGHT) * (highNs - model.typicalHighNs);
  return highNs;
}

/**
 * As `workersInTime`, for a request that has not been read: it is taken for a typical one of its model, but for no more
 * than a share of its deadline, so that what large requests cost does not keep small ones out. `key` null: the model is
 * not known either.
 */
export function refuseUnread(slots: WorkerSlot[], key: string | null, timeoutMs: number): void {
  const highNsMax = timeoutMs * NS_PER_MS * UNREAD_SHARE_MAX;
  inTimeOrRefuse(slots.map((slot) => ({ slot, costHighNs: key === null ? 0 : Math.min(highNsMax, slot.readyModel(key)?.typicalHighNs ?? 0) })), timeoutMs);
}

function inTimeOrRefuse(candidates: InTime[], timeoutMs: number): InTime[] {
  let retryAfterNs = Infinity;
  const timeoutNs = Math.max(1, Math.round(timeoutMs * NS_PER_MS));
  const inTime = candidates.filter(({ slot, costHighNs }) => {
    const { backlogNs, executors, waitFactor } = slot;
    if (backlogNs === 0) return true;
    const admission = loadAddon().admit({ backlogNs, executors, costHighNs: Math.round(costHighNs), timeoutNs, waitFactor });
    retryAfterNs = Math.min(retryAfterNs, admission.retryAfterNs < 0 ? backlogNs / executors : admission.retryAfterNs);
    return admission.admitted;
  });
  if (inTime.length > 0 || candidates.length === 0) return inTime;
  const retryAfterSeconds = Math.max(1, Math.ceil(retryAfterNs / NS_PER_S));
  throw new InterleaveError('overloaded', `The answer would come after the deadline of ${Math.round(timeoutMs)} ms, behind what waits already; try again in ${retryAfterSeconds} s, or allow more time`, {
    retryAfterSeconds,
  });
}

/**
 * Call before the items of an admitted request join the worker's backlog, and the result whenever one of them leaves the
 * worker, with whether by an answer or its deadline. When that is so for all of them, the worker's next admissions know
 * how far its predictions can be trusted.
 */
export function waitObserver({ slot, costHighNs }: InTime, items: PendingItem[]): (hasEnded: boolean) => void {
  const { timeoutMs, priority } = items[0]?.request ?? { timeoutMs: null, priority: 0 };
  const waitNs = Math.round(slot.backlogNs / slot.executors);
  const admittedFactor = slot.waitFactor;
  const admittedMs = performance.now();
  let left = items.length;
  return (hasEnded) => {
    if (hasEnded) left -= 1;
    if (left > 0 || timeoutMs === null) return;
    const elapsedNs = Math.round((performance.now() - admittedMs) * NS_PER_MS);
    const sample = { waitNs, costHighNs: Math.round(costHighNs), elapsedNs, timeoutNs: Math.round(timeoutMs * NS_PER_MS), priority, admittedFactor };
    slot.waitFactor = loadAddon().waitFactorAfter({ ...sample, waitFactor: slot.waitFactor });
  };
}

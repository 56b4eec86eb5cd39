import { InterleaveError } from '@app/contracts';
import { loadAddon } from './addon';
import { itemWeight } from './model-cost';
import type { PendingItem } from './pending';
import type { ReadyModel, WorkerSlot } from './worker-slot';

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

/**
 * Throws `overloaded` with a computed `Retry-After` when no worker can be expected to answer these items (of one request)
 * in time behind what it has to do already. A worker that has nothing to do is never refused: its predictions may be
 * wrong, and only runs correct them.
 */
export function refuseWhatComesTooLate(slots: WorkerSlot[], key: string, items: PendingItem[], timeoutMs: number): void {
  const highNs = new Map(slots.map((slot) => [slot, requestHighNs(slot, key, items)]));
  refuseUnlessAny(slots, timeoutMs, (slot) => highNs.get(slot) ?? 0);
}

/** What the request costs at most on this worker; remembered as typical for its model. */
function requestHighNs(slot: WorkerSlot, key: string, items: PendingItem[]): number {
  const model = slot.readyModel(key);
  if (model === null) return 0;
  const highNs = highNsOf(slot, model, items);
  model.typicalHighNs += (model.typicalHighNs === 0 ? 1 : TYPICAL_WEIGHT) * (highNs - model.typicalHighNs);
  return highNs;
}

/**
 * As `refuseWhatComesTooLate`, for a request that has not been read: it is taken for a typical one of its model, but for
 * no more than a share of its deadline, so that what large requests cost does not keep small ones out. `key` null: the
 * model is not known either.
 */
export function refuseUnread(slots: WorkerSlot[], key: string | null, timeoutMs: number): void {
  const highNsMax = timeoutMs * NS_PER_MS * UNREAD_SHARE_MAX;
  refuseUnlessAny(slots, timeoutMs, (slot) => (key === null ? 0 : Math.min(highNsMax, slot.readyModel(key)?.typicalHighNs ?? 0)));
}

function highNsOf({ executors }: WorkerSlot, { cost, signature }: ReadyModel, items: PendingItem[]): number {
  if (cost === null) return 0;
  return items.reduce((sum, { item }) => sum + cost.highNs(itemWeight(item, signature)), 0) / executors;
}

/**
 * Call before the items (of one request) join the backlog. Call the result whenever one of them leaves the worker, with
 * whether by an answer or its deadline: the worker's next admissions then know how far predicted waits can be trusted.
 */
export function waitObserver(slot: WorkerSlot, model: ReadyModel, items: PendingItem[]): (hasEnded: boolean) => void {
  const { timeoutMs, priority } = items[0]?.request ?? { timeoutMs: null, priority: 0 };
  const waitNs = Math.round(slot.backlogNs / slot.executors);
  if (timeoutMs === null || waitNs <= 0) return () => undefined;
  const admittedMs = performance.now();
  const admittedFactor = slot.waitFactor;
  const costHighNs = Math.round(highNsOf(slot, model, items));
  return (hasEnded) => {
    const elapsedMs = performance.now() - admittedMs;
    if (!hasEnded && elapsedMs < timeoutMs) return; // cancelled, or its worker died
    const times = { waitNs, costHighNs, elapsedNs: Math.round(elapsedMs * NS_PER_MS), timeoutNs: Math.round(timeoutMs * NS_PER_MS) };
    slot.waitFactor = loadAddon().waitFactorAfter({ ...times, priority, admittedFactor, waitFactor: slot.waitFactor });
  };
}

function refuseUnlessAny(slots: WorkerSlot[], timeoutMs: number, costHighNs: (slot: WorkerSlot) => number): void {
  let retryAfterNs = Infinity;
  for (const slot of slots) {
    const { backlogNs, executors } = slot;
    if (backlogNs === 0) return;
    const timeoutNs = Math.max(1, Math.round(timeoutMs * NS_PER_MS));
    const admission = loadAddon().admit({ backlogNs, executors, costHighNs: Math.round(costHighNs(slot)), timeoutNs, waitFactor: slot.waitFactor });
    if (admission.admitted) return;
    retryAfterNs = Math.min(retryAfterNs, admission.retryAfterNs < 0 ? backlogNs / executors : admission.retryAfterNs);
  }
  if (slots.length === 0) return;
  const retryAfterSeconds = Math.max(1, Math.ceil(retryAfterNs / NS_PER_S));
  throw new InterleaveError('overloaded', `The answer would come after the deadline of ${Math.round(timeoutMs)} ms, behind what waits already; try again in ${retryAfterSeconds} s, or allow more time`, {
    retryAfterSeconds,
  });
}

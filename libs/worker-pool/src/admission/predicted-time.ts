import type { InferenceItem, UnreadRequest } from '@app/contracts';
import { loadAddon } from '@app/native';
import { contentKey, distinct } from './backlog';
import { itemWeight } from './model-cost';
import { overloaded } from './retry-after';
import type { PendingItem, PendingRequest } from '../pool/pending';
import type { ReadyModel, WorkerSlot } from '../channel/worker-slot';

const NS_PER_MS = 1e6;
/** Share of the deadline that an unread request is taken to cost at most. */
const UNREAD_SHARE_MAX = 1 / 8;
/** Share of the deadline that a small request costs at most. */
const SMALL_SHARE_MAX = 1 / 32;
/** Share of the deadline that larger requests leave to small ones. */
const ROOM_SHARE = 1 / 8;

/** Predicts what each item costs, where the model's cost is known, so that it counts while it is in flight. */
export function weighItems(items: PendingItem[], key: string, slot: WorkerSlot | undefined): void {
  const model = slot?.readyModel(key) ?? null;
  if (model === null) return;
  for (const item of items) item.rows = itemWeight(item.item, model.signature).rows;
  if (model.cost === null) return;
  // A request of one item is not worth the 17 us of a hash: it counts as different from all others.
  const runsEqualOnce = items.length > 1 && (slot?.runsEqualOnce(key) ?? false);
  for (const item of items) {
    item.expectedNs = expectedNs(model, item.item);
    item.contentKey = runsEqualOnce && !item.request.runAlone ? contentKey(key, item.item) : null;
  }
}

/** Executor time that the item is predicted to take; 0: not known. */
export function expectedNs({ cost, signature }: ReadyModel, item: InferenceItem): number {
  return cost?.expectedNs(itemWeight(item, signature), signature.coalesce !== 'alone') ?? 0;
}

/** A worker that can be expected to answer a request in time. */
export interface WorkerInTime {
  slot: WorkerSlot;
  /** What the request costs at most by itself, in ns over all executors. */
  costHighNs: number;
  /** Predicted for each executor until it begins. */
  waitNs: number;
}

/** What goes ahead of a request, where that is not the whole backlog. */
export interface Ahead {
  /** Predicted work that is not in a backlog yet and that the workers will share. */
  ns: number;
  /** The backlogs do not count beyond the runs that have begun: tenants take turns. */
  takesTurns: boolean;
}
const NOTHING_ELSE: Ahead = { ns: 0, takesTurns: false };
const UNKNOWN = { expectedNs: 0, highNs: 0 };
/** A live run takes so long at most. */
const RUN_NS_MAX = 40e6;

/**
 * Of these workers those that can be expected to answer these items (of one request) in time behind what they have to do
 * already, in their order. Throws `overloaded` with a computed `Retry-After` when there are workers but none of these. A
 * worker that has nothing to do is always one: its predictions may be wrong, and only runs correct them.
 */
export function workersInTime(
  slots: WorkerSlot[],
  { key, items, bodyBytes }: PendingRequest,
  timeoutMs: number,
  ahead = NOTHING_ELSE,
): WorkerInTime[] {
  return inTimeOrRefuse(
    slots.map((slot) => ({ slot, costHighNs: requestHighNs(slot, key, items, bodyBytes) })),
    timeoutMs,
    ahead,
  );
}

/** What the request costs at most on this worker; remembered for the bytes of its body. */
function requestHighNs(slot: WorkerSlot, key: string, items: PendingItem[], bodyBytes: number): number {
  const model = slot.readyModel(key);
  if (model === null || model.cost === null) return 0;
  const { cost, signature } = model;
  const toRun = distinct(items);
  const highNs = toRun.reduce((sum, { item }) => sum + cost.highNs(itemWeight(item, signature)), 0) / slot.executors;
  const expectedNs = toRun.reduce((sum, item) => sum + item.expectedNs, 0);
  for (const costs of [model.byteCosts, slot.byteCosts]) costs.learn(bodyBytes, { expectedNs, highNs });
  return highNs;
}

/**
 * As `workersInTime`, for a request that has not been read: it is taken to cost what the bytes of others did, but no more
 * than a share of its deadline, so that what large requests cost does not keep small ones out. `key` null: the model is
 * not known either. Returns its predicted work in ns.
 */
export function checkUnread(
  slots: WorkerSlot[],
  key: string | null,
  { timeoutMs, bodyBytes }: Pick<UnreadRequest, 'timeoutMs' | 'bodyBytes'>,
  aheadOf: (expectedNs: number) => Ahead,
): number {
  const highNsMax = timeoutMs * NS_PER_MS * UNREAD_SHARE_MAX;
  const candidates: Omit<WorkerInTime, 'waitNs'>[] = [];
  let costNs = 0;
  for (const slot of slots) {
    const { expectedNs, highNs } = (key === null ? slot.byteCosts : slot.readyModel(key)?.byteCosts)?.predict(bodyBytes) ?? UNKNOWN;
    costNs = Math.max(costNs, expectedNs);
    candidates.push({ slot, costHighNs: Math.min(highNsMax, highNs) });
  }
  inTimeOrRefuse(candidates, timeoutMs, aheadOf(costNs));
  return costNs;
}

function inTimeOrRefuse(candidates: Omit<WorkerInTime, 'waitNs'>[], timeoutMs: number, { ns: aheadNs, takesTurns }: Ahead): WorkerInTime[] {
  let allExecutors = 0;
  for (const { slot } of candidates) allExecutors += slot.executors;
  let retryAfterNs = Infinity;
  const inTime: WorkerInTime[] = [];
  for (const { slot, costHighNs } of candidates) {
    const { executors, waitFactor } = slot;
    const heldNs = Math.min(slot.backlog.expectedNs, takesTurns ? RUN_NS_MAX * executors : Infinity);
    const backlogNs = Math.round(heldNs + (aheadNs * executors) / allExecutors);
    const candidate = { slot, costHighNs, waitNs: Math.round(backlogNs / executors) };
    if (backlogNs === 0) {
      inTime.push(candidate);
      continue;
    }
    const timeoutNs = Math.max(1, Math.round(usableMs(timeoutMs, costHighNs) * NS_PER_MS));
    const fitsInNs = loadAddon().admit(backlogNs, executors, Math.round(costHighNs), timeoutNs, waitFactor);
    if (fitsInNs === 0) inTime.push(candidate);
    else retryAfterNs = Math.min(retryAfterNs, fitsInNs < 0 ? backlogNs / executors : fitsInNs);
  }
  if (inTime.length > 0 || candidates.length === 0) return inTime;
  const whose = takesTurns ? ' of this tenant' : '';
  const reason = `The deadline of ${Math.round(timeoutMs)} ms cannot be met behind the requests${whose} that already wait`;
  throw overloaded(reason, retryAfterNs / NS_PER_MS, ', or allow more time');
}

/** Part of the deadline that a request of this cost may fill. Without the rest, large requests would keep small ones out. */
function usableMs(timeoutMs: number, costHighNs: number): number {
  const isSmall = costHighNs <= timeoutMs * NS_PER_MS * SMALL_SHARE_MAX;
  return isSmall ? timeoutMs : timeoutMs * (1 - ROOM_SHARE);
}

/**
 * Call before the items of an admitted request join the worker's backlog, and the result whenever one of them leaves the
 * worker, with whether by an answer or its deadline. When that is so for all of them, the worker's next admissions know
 * how far its predictions can be trusted.
 */
export function waitObserver({ slot, costHighNs, waitNs }: WorkerInTime, items: PendingItem[]): (hasEnded: boolean) => void {
  const { timeoutMs, priority } = items[0]?.request ?? { timeoutMs: null, priority: 0 };
  const admittedFactor = slot.waitFactor;
  const admittedMs = performance.now();
  let left = items.length;
  return (hasEnded) => {
    if (hasEnded) left -= 1;
    if (left > 0 || timeoutMs === null) return;
    const elapsedNs = Math.round((performance.now() - admittedMs) * NS_PER_MS);
    slot.waitFactor = loadAddon().waitFactorAfter(
      slot.waitFactor,
      waitNs,
      Math.round(costHighNs),
      elapsedNs,
      Math.round(timeoutMs * NS_PER_MS),
      priority,
      admittedFactor,
    );
  };
}

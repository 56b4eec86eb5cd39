import { byteText, InterleaveError, RevisionGone } from '@app/contracts';
import { type Completion, ITEM_STATUSES, ChannelError } from '@app/native';
import type { AnswerReceiver, ChannelAnswer, Suspicion } from '../channel/channel-client';
import type { InputBlame } from './input-blame';
import { splitModelKey } from '../placement/model-directory';
import { decodeResult, responseBytesForPayload } from '../channel/item-codec';
import { encodePending, forgetLearned, inputBytesOf } from './encode-pending';
import { type WorkerInTime, waitObserver } from '../admission/predicted-time';
import { answerExecutorNs } from '../shares/executor-time';
import { ParkedItems, type PendingItem, tooLate } from './pending';
import type { ReadyModel, WorkerSlot } from '../channel/worker-slot';

/** Parked items are handed over in slices, so that one that does not fit costs little. */
const SLICE_ITEMS_MAX = 64;
const RAN_OR_EXPIRED: ReadonlySet<string | undefined> = new Set(['ok', 'deadline-exceeded']);
type OnLeft = (hasEnded: boolean, executorNs: number) => void;
const RETRY_MS = 50;
const REFUSALS_MAX = 8;
/** A suspect has a worker to itself for at most this long; then others may share it again. */
const HOLD_MS_MAX = 2000;
/**
 * Among others, and twice alone: the first death alone may be chance, when someone kills workers or memory ran out. Where the worker itself
 * died of its runs, once alone.
 */
const DEATHS_MAX = 3;
const OWN_DEATHS_MAX = 2;

/** Where items were sent, what their answers mean there, and who hears that they left. */
interface Ran {
  slot: WorkerSlot;
  model: ReadyModel;
  onLeft: OnLeft;
}

/** An item at a worker, from handing it over to its answer. */
class Flight implements AnswerReceiver {
  private itemId = -1;

  constructor(
    private item: PendingItem | null,
    private ran: Ran | null,
    private readonly onAnswer: (item: PendingItem, ran: Ran, answer: ChannelAnswer) => void,
  ) {}

  begin(itemId: number): void {
    this.itemId = itemId;
    const { item, ran } = this;
    if (item === null) return;
    item.state = 'submitted';
    item.flight = this;
    ran?.slot.backlog.add(item);
  }

  cancel(): void {
    this.ran?.slot.cancel(this.itemId);
  }

  answered(answer: ChannelAnswer): void {
    const { item, ran } = this;
    this.item = null;
    this.ran = null;
    if (item !== null && ran !== null) this.onAnswer(item, ran, answer);
  }
}

/** A worker that gets nothing new, so that it runs one suspect and nothing else of ours. */
interface Hold {
  slot: WorkerSlot;
  item: PendingItem;
  submitted: boolean;
  /** HOLD_MS_MAX have passed; the timer says so, no clock is read. */
  isLate: boolean;
  timer: NodeJS.Timeout;
}

/**
 * Brings items to workers and their answers back. An item whose worker died goes to another worker or waits for one; one
 * that was running then is a suspect and runs next with no other item of ours on the worker, so that a second death is
 * its own fault and not a neighbour's.
 */
export class Dispatcher {
  private readonly parked = new Map<string, ParkedItems>();
  private suspects: PendingItem[] = [];
  private hold: Hold | null = null;
  /** Collected while a connection ends, so that they go back in their order. */
  private lost: PendingItem[] = [];
  /** The lost items that were running. */
  private fallen: PendingItem[] = [];
  private readonly retryTimers = new Set<NodeJS.Timeout>();

  /** `slots`: the workers there are now. `full`: what to answer when they have no room for so many items. */
  constructor(
    private readonly slots: () => Iterable<WorkerSlot>,
    private readonly blame: InputBlame,
    private readonly full: (items: number) => InterleaveError,
  ) {}

  /**
   * Hands all items (of one request) to one of these workers, or none: `full` when none has room, `no-worker` when there is
   * none. Throws `too_large` when they can never fit together.
   */
  offer(key: string, items: PendingItem[], workers: WorkerInTime[]): 'taken' | 'full' | 'no-worker' {
    if (workers.length === 0) return 'no-worker';
    if (this.parkedItems(key) > 0) return 'full';
    try {
      return workers.some((worker) => this.submit(worker.slot, items, waitObserver(worker, items))) ? 'taken' : 'full';
    } catch (error) {
      if (error instanceof ChannelError && error.code === 'TOO_LARGE') throw tooLarge(error, workers[0]?.slot);
      throw error;
    }
  }

  /** Workers that can run this model version, the one with the fewest items in flight for each executor first. */
  candidates(key: string): WorkerSlot[] {
    const ready = [...this.slots()].filter((slot) => slot.readyModel(key) !== null && !this.isHeld(slot));
    return ready.sort((a, b) => a.inFlightItems / a.executors - b.inFlightItems / b.executors);
  }

  /** False: there is no room now. `onEnd`: told the executor time it took once it has left the worker. */
  submitOne(slot: WorkerSlot, item: PendingItem, onEnd: (executorNs: number) => void): boolean {
    return this.submit(slot, [item], (hasEnded, executorNs) => {
      onEnd(executorNs);
      item.onLeft?.(hasEnded);
    });
  }

  /** Items of a model version that wait for a worker or for room. */
  parkedItems(key: string): number {
    return this.parked.get(key)?.waiting() ?? 0;
  }

  /** They are handed over by `run`, now or later. */
  park(key: string, items: PendingItem[]): void {
    this.parkedOf(key).push(items);
  }

  /** Hands over what can be handed over now. Call after anything that may have made room. */
  run(): void {
    this.advanceSuspects();
    for (const [key, queue] of this.parked) this.drain(key, queue);
  }

  /** Fails what waits for a model that will not come; `verdict` says why, or null. */
  failHopeless(verdict: (key: string) => InterleaveError | null): void {
    for (const [key, queue] of this.parked) {
      const error = verdict(key);
      if (error !== null) for (const item of queue.take(Infinity)) item.settle(error);
    }
    for (const item of this.suspects) {
      const error = verdict(item.request.key);
      if (error !== null) item.settle(error);
    }
  }

  /** Call when a connection has ended and all of its items have been answered: puts the lost ones in front again. */
  takeBackLost(): void {
    const { lost, fallen } = this;
    this.lost = [];
    this.fallen = [];
    this.blame.workerDied(fallen);
    for (const key of new Set(lost.map((item) => item.request.key))) {
      this.parkedOf(key).prepend(lost.filter((item) => item.request.key === key));
    }
  }

  close(): void {
    for (const timer of this.retryTimers) clearTimeout(timer);
    this.endHold();
  }

  private parkedOf(key: string): ParkedItems {
    const known = this.parked.get(key);
    if (known !== undefined) return known;
    const created = new ParkedItems();
    this.parked.set(key, created);
    return created;
  }

  private isHeld(slot: WorkerSlot): boolean {
    return this.hold?.slot === slot && !this.hold.isLate;
  }

  private drain(key: string, queue: ParkedItems): void {
    const full = new Set<WorkerSlot>();
    while (queue.length > 0) {
      const slot = this.candidates(key).find((candidate) => candidate.roomItems > 0 && !full.has(candidate));
      if (slot === undefined) return;
      const items = queue.take(Math.min(slot.roomItems, slot.sliceItems));
      if (this.submitSlice(slot, items)) {
        slot.sliceItems = Math.min(slot.sliceItems * 2, SLICE_ITEMS_MAX);
      } else {
        queue.prepend(items);
        if (items.length === 1) full.add(slot);
        slot.sliceItems = Math.max(1, Math.floor(items.length / 2));
      }
    }
    this.parked.delete(key);
  }

  private submitSlice(slot: WorkerSlot, items: PendingItem[]): boolean {
    try {
      return this.submit(slot, items);
    } catch (error) {
      if (error instanceof ChannelError && error.code === 'TOO_LARGE') return false; // together; each alone may fit
      throw error;
    }
  }

  /**
   * All or none of the items that can be run at all; the others are settled. False when there is no room. Throws
   * TOO_LARGE when they can never fit together. `onLeft` is called for each that leaves the worker, with whether by an
   * answer or its deadline.
   */
  private submit(slot: WorkerSlot, items: PendingItem[], onLeft: OnLeft = () => undefined): boolean {
    const model = slot.readyModel(items[0]?.request.key ?? '');
    if (model === null) return items.length === 0;
    const toSubmit = items.map((item) => encodePending(item, model)).filter((submission) => submission !== null);
    const ran: Ran = { slot, model, onLeft };
    while (toSubmit.length > 0) {
      try {
        const flights = toSubmit.map(({ item }) => new Flight(item, ran, this.onAnswer));
        const itemIds = slot.submit(
          toSubmit.map(({ encoded }) => encoded),
          flights,
        );
        itemIds?.forEach((itemId, position) => flights[position]?.begin(itemId));
        return itemIds !== null;
      } catch (error) {
        if (error instanceof ChannelError && error.code === 'TOO_LARGE' && forgetLearned(toSubmit)) continue;
        if (!(error instanceof ChannelError) || error.item === null) throw error;
        const [refused] = toSubmit.splice(error.item, 1);
        refused?.item.settle(error.code === 'TOO_LARGE' ? tooLarge(error, slot) : new InterleaveError('invalid_request', error.message));
      }
    }
    return true;
  }

  private readonly onAnswer = (item: PendingItem, ran: Ran, answer: ChannelAnswer): void => {
    ran.slot.backlog.remove(item);
    // Of what ran without an answer nobody knows how long.
    const executorsPerRun = ran.slot.readyModel(item.request.key)?.cost?.executorsPerRun ?? 1;
    const executorNs = answerExecutorNs(answer, item.rows, executorsPerRun) ?? item.expectedNs;
    item.request.ran(executorNs);
    this.take(item, ran, answer);
    ran.onLeft(answer.kind === 'completed' && RAN_OR_EXPIRED.has(ITEM_STATUSES[answer.completion.status]), executorNs);
  };

  private take(item: PendingItem, ran: Ran, answer: ChannelAnswer): void {
    if (this.hold?.item === item) this.endHold();
    if (item.state === 'settled') return;
    item.state = 'parked';
    item.flight = null;
    if (answer.kind === 'completed') this.onCompleted(item, ran, answer.completion);
    else this.onLost(item, answer.suspicion);
  }

  private onLost(item: PendingItem, suspicion: Suspicion): void {
    if (suspicion !== 'none') {
      item.deaths += 1;
      if (suspicion === 'strong') item.ownDeaths += 1;
      item.contentKey = null; // runs alone from now on
      this.fallen.push(item);
    }
    if (item.deaths >= DEATHS_MAX || item.ownDeaths >= OWN_DEATHS_MAX) {
      item.settle(new InterleaveError('inference_failed', `${item.deaths} workers died while running this input`));
    } else if (item.deaths > 0) {
      this.suspects.push(item);
    } else {
      this.lost.push(item);
    }
  }

  private onCompleted(item: PendingItem, { slot, model }: Ran, completion: Completion): void {
    const { message } = completion;
    const status = ITEM_STATUSES[completion.status] ?? 'failed';
    switch (status) {
      case 'ok':
        this.blame.countAnswer(item.request.key);
        if (item.enlargements > 0) model.answerSize.learn(inputBytesOf(item), item.responseBytesMin);
        return item.settle(
          decodeResult(completion, model.signature) ?? new InterleaveError('internal', 'the worker answered with an unknown output'),
        );
      case 'invalid':
        return item.settle(new InterleaveError('invalid_request', message));
      case 'failed':
      case 'run-timeout':
        return item.settle(new InterleaveError('inference_failed', message));
      case 'deadline-exceeded':
        return item.settle(tooLate());
      case 'cancelled':
        if (item.onRecalled !== null) return item.onRecalled();
        return item.settle(new InterleaveError('client_closed', message));
      case 'response-too-large':
        return this.enlarge(item, model, message);
      case 'queue-full':
        if (item.request.isLive) return item.settle(this.full(1));
        return this.retryLater(item, RETRY_MS);
      case 'unavailable':
        return this.refusedForNow(item, new InterleaveError('worker_unavailable', message));
      case 'gone':
        return this.onGone(item, slot);
    }
  }

  /** `final`: what to answer when it was refused too often. */
  private refusedForNow(item: PendingItem, final: InterleaveError): void {
    item.refusals += 1;
    if (item.refusals > REFUSALS_MAX) return item.settle(final);
    this.retryLater(item, RETRY_MS * 2 ** (item.refusals - 1));
  }

  /** Another worker may have its revision still; else it has to be prepared anew. */
  private onGone(item: PendingItem, slot: WorkerSlot): void {
    const { key } = item.request;
    const { name, version } = splitModelKey(key);
    const gone = new RevisionGone(name, version);
    if (this.candidates(key).some((other) => other !== slot)) this.refusedForNow(item, gone);
    else item.settle(gone);
  }

  private enlarge(item: PendingItem, model: ReadyModel, neededBytes: string): void {
    const payloadBytes = Number(neededBytes);
    item.enlargements += 1;
    if (item.enlargements > 1 || !Number.isSafeInteger(payloadBytes)) {
      return item.settle(
        new InterleaveError(
          'inference_failed',
          `the answer needs ${Number.isSafeInteger(payloadBytes) ? byteText(payloadBytes, 'up') : neededBytes}, ` +
            `more than the ${byteText(item.responseBytesMin, 'down')} set aside for it; ask for fewer outputs or send fewer rows at once`,
        ),
      );
    }
    item.responseBytesMin = responseBytesForPayload(payloadBytes, model.signature);
    this.requeue(item);
  }

  private retryLater(item: PendingItem, delayMs: number): void {
    const timer = setTimeout(() => {
      this.retryTimers.delete(timer);
      this.requeue(item);
      this.run();
    }, delayMs);
    this.retryTimers.add(timer);
  }

  private requeue(item: PendingItem): void {
    if (item.deaths > 0) this.suspects.push(item);
    else this.parkedOf(item.request.key).prepend([item]);
  }

  /** One suspect at a time, on a worker that has nothing else of ours. */
  private advanceSuspects(): void {
    this.suspects = this.suspects.filter((item) => item.state !== 'settled');
    if (this.hold !== null && this.isHoldOver(this.hold)) this.endHold();
    this.hold ??= this.holdForNextSuspect();
    const hold = this.hold;
    if (hold === null || hold.submitted) return;
    if (hold.slot.inFlightItems > 0 && !hold.isLate) return;
    if (!this.submitSlice(hold.slot, [hold.item])) return;
    this.suspects = this.suspects.filter((item) => item !== hold.item);
    hold.submitted = hold.item.state === 'submitted';
    if (hold.isLate || !hold.submitted) this.endHold();
    if (this.hold === null) this.advanceSuspects();
  }

  private isHoldOver(hold: Hold): boolean {
    if (hold.submitted) return hold.isLate;
    return hold.item.state === 'settled' || hold.slot.readyModel(hold.item.request.key) === null;
  }

  private holdForNextSuspect(): Hold | null {
    for (const item of this.suspects) {
      const slot = this.candidates(item.request.key)[0];
      if (slot === undefined) continue;
      const timer = setTimeout(() => {
        hold.isLate = true;
        this.run();
      }, HOLD_MS_MAX);
      const hold: Hold = { slot, item, submitted: false, isLate: false, timer };
      return hold;
    }
    return null;
  }

  private endHold(): void {
    if (this.hold !== null) clearTimeout(this.hold.timer);
    this.hold = null;
  }
}

/** Past what a worker's channel can ever hold. */
function tooLarge(error: ChannelError, slot: WorkerSlot | undefined): InterleaveError {
  const lane = slot?.plan.lane ?? 'realtime';
  // One item alone is too large by its bytes only.
  const orItems = error.item === null ? ` or ${lane}.queueItemsMax` : '';
  return new InterleaveError(
    'too_large',
    `${error.message}; send less at once, or raise ${lane}.channelBytes${orItems} in interleave.yaml`,
  );
}

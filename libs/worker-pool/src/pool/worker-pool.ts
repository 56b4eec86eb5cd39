import { basename } from 'node:path';
import { runPaths } from '@app/config';
import {
  type InferenceBackend,
  type InferenceRequest,
  InterleaveError,
  type ItemResult,
  type Lane,
  type ModelReport,
  type QuarantinedModel,
  RevisionGone,
  type UnreadRequest,
} from '@app/contracts';
import { commandProcess, PlacementReader } from '@app/process';
import { Bag } from './bag';
import { Dispatcher } from './dispatcher';
import { LiveAdmission } from '../admission/live-admission';
import { IllegalStateError } from '@app/native';
import { InputBlame } from './input-blame';
import { mergeReports, modelKey, resolveModel, splitModelKey, withhold } from '../placement/model-directory';
import { PendingRequest, tooLate } from './pending';
import { FairLane } from '../shares/fair-lane';
import { expectedNs } from '../admission/predicted-time';
import { type ReadyModel, WorkerSlot } from '../channel/worker-slot';

export interface WorkerPoolOptions {
  lane: Lane;
  /** Where the scheduler writes the placement; neither it nor the folder need exist yet. */
  runDir: string;
  /** Shared with others of this process, who close it; default: one of its own. */
  placement?: PlacementReader;
}

/** Items without a deadline that may wait for room, as a multiple of what one worker takes. */
const PARKED_FACTOR = 64;
const NS_PER_MS = 1e6;

/**
 * Runs items on the workers of one lane, wherever the placement says that they are. Live requests (with a deadline) are
 * refused when the workers are full, and wait only while no worker is there; requests without one wait for room.
 */
export class WorkerPool implements InferenceBackend {
  readonly lane: Lane;
  private readonly slots = new Map<string, WorkerSlot>();
  private readonly requests = new Bag<PendingRequest>();
  private readonly listeners = new Set<() => void>();
  private readonly admission = new LiveAdmission(() => [...this.slots.values()]);
  private readonly blame: InputBlame;
  private readonly dispatcher: Dispatcher;
  private readonly fair: FairLane;
  private readonly placement: PlacementReader;
  private readonly unsubscribe: () => void;
  private reports = new Map<string, ModelReport>();
  private quarantined: QuarantinedModel[] = [];
  private soon: NodeJS.Immediate | null = null;
  private isClosed = false;

  constructor({ lane, runDir, placement }: WorkerPoolOptions) {
    this.lane = lane;
    const scheduler = runPaths(runDir).statusSocket('scheduler');
    // Best effort: without a scheduler nobody counts deaths either.
    this.blame = new InputBlame(lane, (blamed) => void commandProcess(scheduler, '/blame-input', blamed).catch(() => undefined));
    this.dispatcher = new Dispatcher(
      () => this.slots.values(),
      this.blame,
      (items) => this.admission.full(items),
    );
    this.fair = new FairLane({ dispatcher: this.dispatcher, admission: this.admission, requests: () => this.requests });
    this.placement = placement ?? new PlacementReader(runDir);
    const subscriptions = [this.placement.onChange(() => this.applyPlacement()), this.placement.onFile((name) => this.onFile(name))];
    this.unsubscribe = () => {
      for (const unsubscribe of subscriptions) unsubscribe();
      if (placement === undefined) this.placement.close();
    };
    this.applyPlacement();
  }

  models(): ModelReport[] {
    return [...this.reports.values()];
  }

  onModelsChanged(listener: () => void): () => void {
    this.listeners.add(listener);
    return () => this.listeners.delete(listener);
  }

  inFlightItems(): number {
    let items = 0;
    for (const slot of this.slots.values()) items += slot.inFlightItems;
    return items;
  }

  admittedItems(): number {
    return this.admission.inFlight;
  }

  /** Of all workers of the lane that are there. */
  get executorCount(): number {
    let executors = 0;
    for (const slot of this.slots.values()) executors += slot.executors;
    return executors;
  }

  backlogMs(): number {
    let expectedNs = this.fair.waitingNs;
    let executors = 0;
    for (const slot of this.slots.values()) {
      expectedNs += slot.backlog.expectedNs;
      executors += slot.executors;
    }
    return executors === 0 ? 0 : expectedNs / executors / NS_PER_MS;
  }

  async infer(request: InferenceRequest): Promise<(ItemResult | InterleaveError)[]> {
    if (this.isClosed) throw new IllegalStateError('the worker pool is closed');
    const key = this.resolve(request);
    if (request.signal?.aborted === true) throw new InterleaveError('client_closed', 'the caller has gone');
    if (request.timeoutMs !== null && request.timeoutMs <= 0) throw tooLate();
    if (request.items.length === 0) return [];
    const pending = new PendingRequest(key, request, () => this.forget(pending));
    this.requests.add(pending);
    try {
      this.admit(pending);
    } catch (error) {
      pending.discard();
      throw error;
    }
    return pending.promise;
  }

  checkAhead(request: UnreadRequest): number {
    const { model, version, revision, share } = request;
    const report = model === null ? null : resolveModel(this.reports, { model, version, revision });
    const key = report === null ? null : modelKey(report);
    const slots = [...this.slots.values()];
    const workers = key === null ? slots : slots.filter((slot) => slot.readyModel(key) !== null);
    return this.admission.checkUnread(workers, key, request, this.fair.standingOf(share ?? null));
  }

  predictedNs({ items, ...wanted }: Pick<InferenceRequest, 'model' | 'version' | 'revision' | 'items'>): number {
    const report = resolveModel(this.reports, wanted);
    const ready = report === null ? undefined : this.readyModel(modelKey(report));
    return ready === undefined ? 0 : items.reduce((sumNs, item) => sumNs + expectedNs(ready, item), 0);
  }

  /** Ends the connections; what is not answered yet fails with `worker_unavailable`. */
  async close(): Promise<void> {
    if (this.isClosed) return;
    this.isClosed = true;
    this.unsubscribe();
    if (this.soon !== null) clearImmediate(this.soon);
    this.dispatcher.close();
    for (const request of this.requests) request.abandon(new InterleaveError('worker_unavailable', 'this process is shutting down'));
    for (const slot of this.slots.values()) slot.close();
    this.listeners.clear();
  }

  private forget(request: PendingRequest): void {
    this.requests.remove(request);
    this.admission.leave(request);
  }

  private resolve({ model, version, revision }: InferenceRequest): string {
    if (this.placement.placement === null)
      throw new InterleaveError(
        'worker_unavailable',
        this.placement.problem ?? 'no workers have been placed yet; is the scheduler running?',
      );
    const report = resolveModel(this.reports, { model, version, revision });
    if (report === null) {
      if (version !== null && revision !== undefined) throw new RevisionGone(model, version);
      const what = version === null ? model : `${model} version ${version}`;
      throw new InterleaveError('model_not_found', `no ${this.lane} worker has model ${what}`);
    }
    const key = modelKey(report);
    const error = this.verdict(key);
    if (error !== null) throw error;
    return key;
  }

  /** Why there is no use in waiting for this revision, or null. */
  private verdict(key: string): InterleaveError | null {
    const report = this.reports.get(key);
    if (report === undefined) {
      const { name, version } = splitModelKey(key);
      return new RevisionGone(name, version);
    }
    if (report.state !== 'failed') return null;
    const quarantined = this.quarantined.find(({ name, version }) => name === report.name && version === report.version);
    const retryAfterSeconds =
      quarantined === undefined ? {} : { retryAfterSeconds: Math.max(1, Math.ceil((quarantined.untilMs - Date.now()) / 1000)) };
    return new InterleaveError(
      'model_not_servable',
      `model ${report.name} version ${report.version} cannot be served: ${report.reason ?? 'unknown'}`,
      retryAfterSeconds,
    );
  }

  private admit(request: PendingRequest): void {
    const { key, items } = request;
    const timeoutMs = request.timeLeftMs();
    const outcome = timeoutMs === null ? 'no-worker' : this.offer(request, timeoutMs);
    if (outcome === 'taken') return;
    const parkedItemsMax = this.queueItemsMax() * (request.isLive ? 1 : PARKED_FACTOR);
    if (outcome === 'full' || this.dispatcher.parkedItems(key) + items.length > parkedItemsMax) throw this.admission.full(items.length);
    this.dispatcher.park(key, items);
    if (!request.isLive) this.runSoon();
  }

  private offer(request: PendingRequest, timeoutMs: number): 'taken' | 'full' | 'no-worker' {
    const { key, items } = request;
    const workers = this.dispatcher.candidates(key);
    if (workers.length > 0 && this.fair.admit(request, workers, timeoutMs)) return 'taken';
    return this.dispatcher.offer(key, items, this.admission.admit(request, workers, timeoutMs));
  }

  /** Hands over what came in the same turn of the event loop together: the worker wakes up once for all of it. */
  private runSoon(): void {
    this.soon ??= setImmediate(() => {
      this.soon = null;
      this.run();
    });
  }

  private queueItemsMax(): number {
    return Math.max(0, ...[...this.slots.values()].map((slot) => slot.plan.queueItemsMax));
  }

  private applyPlacement(): void {
    const { placement } = this.placement;
    if (placement === null) return;
    const plans = placement.workers.filter((plan) => plan.lane === this.lane);
    const planned = new Map(plans.map((plan) => [plan.id, plan]));
    for (const [id, slot] of this.slots) {
      const plan = planned.get(id);
      if (plan !== undefined && slot.suits(plan)) slot.plan = plan;
      else this.removeSlot(id, slot);
    }
    for (const plan of plans) if (!this.slots.has(plan.id)) this.addSlot(plan);
    this.quarantined = placement.quarantined?.filter(({ lane }) => lane === this.lane) ?? [];
    this.onChanged();
  }

  private addSlot(plan: WorkerSlot['plan']): void {
    const slot = new WorkerSlot(plan, {
      changed: () => this.onChanged(),
      down: () => this.onDown(),
      room: () => this.run(),
    });
    this.slots.set(plan.id, slot);
  }

  private removeSlot(id: string, slot: WorkerSlot): void {
    this.slots.delete(id);
    slot.close();
    this.dispatcher.takeBackLost();
  }

  private onDown(): void {
    this.dispatcher.takeBackLost();
    this.run();
  }

  private run(): void {
    this.dispatcher.run();
    this.fair.run();
  }

  private readyModel(key: string): ReadyModel | undefined {
    for (const slot of this.slots.values()) {
      const ready = slot.readyModel(key);
      if (ready !== null) return ready;
    }
    return undefined;
  }

  /** A worker's socket may have appeared: connect at once instead of after the backoff. */
  private onFile(name: string): void {
    for (const slot of this.slots.values()) if (basename(slot.plan.socketPath) === name) slot.retryNow();
  }

  private onChanged(): void {
    this.reports = mergeReports([...this.slots.values()].flatMap((slot) => slot.reports()));
    withhold(this.reports, this.quarantined);
    this.blame.keepOnly(this.reports);
    this.dispatcher.failHopeless((key) => this.verdict(key));
    this.fair.failHopeless((key) => this.verdict(key));
    for (const listener of this.listeners) listener();
    this.run();
  }
}

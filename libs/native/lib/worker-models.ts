import type { Lane, ModelOfLane, ModelReport, QuarantinedModel, WorkerModelPlan } from '@app/contracts';
import { loadAddon, type NativeModelChange, type NativeModelPlan, type NativeWorkerHandle } from './addon';

/** How often it is looked whether a load is over, while there is one. */
const CONFIRM_MS = 50;
const CHANGED = 'its files have changed';
const CHANGED_MEANWHILE = 'its files have changed while they were loaded';
const LEAVING = 'it is unloaded once the last items that it took are answered';

export interface ModelSet {
  models: WorkerModelPlan[];
  /** Why models for a GPU cannot be loaded; null: they can. */
  gpuRefusal: string | null;
  /** Models of this lane; those that killed while they were loaded must not even be loaded. */
  quarantined?: QuarantinedModel[] | undefined;
  /** Models of this lane that are loaded after all others. */
  loadLast?: ModelOfLane[] | undefined;
}

export interface ModelRules {
  lane: Lane;
  /**
   * Whether the files of a model are still those of its plan. It is asked before a load and after it, and a model is ready only
   * if both are so: then what was read in between are these files. Not protected are files that are written to in place later:
   * external data are mapped into memory, so that pages which the runtime has not touched yet hold the new bytes. Files that are
   * replaced (renamed over, removed) do no harm, the map keeps the old ones. Absent: nobody asks.
   */
  hasFilesOf?: ((model: WorkerModelPlan) => boolean) | undefined;
  /** What loading a model takes; one for which that is not there is not loaded. Absent: nobody asks. */
  needBytesOf?: ((model: WorkerModelPlan) => number) | undefined;
}

interface WantedModel {
  plan: WorkerModelPlan;
  /** All that it was loaded by. */
  key: string;
}

/** The models that a worker is to have, and how what it has is brought in line with them. */
export class WorkerModels {
  private readonly addon = loadAddon();
  private wanted = new Map<number, WantedModel>();
  /** Those that were retired, as long as they take memory. */
  private readonly retired = new Map<number, WorkerModelPlan>();
  private timer: NodeJS.Timeout | null = null;

  constructor(private readonly rules: ModelRules) {}

  /** The models to start the worker with. Throws for a revision that is there twice. */
  first(set: ModelSet): NativeModelPlan[] {
    this.wanted = this.wantedOf(set);
    return [...this.wanted.values()].map(({ plan }) => this.nativePlan(plan, set));
  }

  /**
   * Loads what is new and retires what is not in the set any more, or is there with another plan under the same revision: that
   * is loaded again. Throws when the set does not hold together; then nothing has changed.
   */
  set(worker: NativeWorkerHandle, set: ModelSet): void {
    const wanted = this.wantedOf(set);
    const isKept = ([revision, { key }]: [number, WantedModel], others: Map<number, WantedModel>): boolean =>
      others.get(revision)?.key === key;
    const change: NativeModelChange = {
      retired: [...this.wanted].filter((model) => !isKept(model, wanted)).map(([revision]) => revision),
      added: [...wanted].filter((model) => !isKept(model, this.wanted)).map(([, { plan }]) => this.nativePlan(plan, set)),
    };
    if (change.retired.length + change.added.length > 0) this.addon.workerChangeModels(worker, change);
    for (const revision of change.retired) {
      const plan = this.wanted.get(revision)?.plan;
      if (plan !== undefined) this.retired.set(revision, plan);
    }
    this.wanted = wanted;
    this.leaving(worker); // forgets those that have left before
    this.confirmLoads(worker);
  }

  /** What was retired and takes memory still. */
  leaving(worker: NativeWorkerHandle): ModelReport[] {
    const leaving = new Set(this.addon.workerLeaving(worker));
    for (const revision of this.retired.keys()) if (!leaving.has(revision)) this.retired.delete(revision);
    return [...this.retired.values()].map(({ name, version, revision }) => {
      return { name, version, revision, state: 'failed', reason: LEAVING, signature: null, cost: null };
    });
  }

  /** Lets each model be ready that was loaded from the files of its plan; ends by itself when nothing is loaded any more. */
  confirmLoads(worker: NativeWorkerHandle): void {
    const { hasFilesOf } = this.rules;
    if (hasFilesOf === undefined || this.timer !== null) return;
    this.timer = setInterval(() => {
      const { loading, unconfirmed } = this.addon.workerLoads(worker);
      for (const revision of unconfirmed) {
        const plan = this.wanted.get(revision)?.plan;
        const isGood = plan !== undefined && hasFilesOf(plan);
        this.addon.workerConfirm(worker, { revision, reason: isGood ? null : CHANGED_MEANWHILE });
      }
      if (loading === unconfirmed.length) this.stop();
    }, CONFIRM_MS);
  }

  stop(): void {
    if (this.timer !== null) clearInterval(this.timer);
    this.timer = null;
  }

  private wantedOf(set: ModelSet): Map<number, WantedModel> {
    const wanted = new Map<number, WantedModel>();
    for (const plan of set.models) {
      if (wanted.has(plan.revision))
        throw new Error(`expected each revision once in the worker's plan but received ${plan.revision} twice`);
      wanted.set(plan.revision, { plan, key: JSON.stringify([plan, this.refusalOf(plan, set)]) });
    }
    return wanted;
  }

  private nativePlan(plan: WorkerModelPlan, set: ModelSet): NativeModelPlan {
    const isChanged = this.rules.hasFilesOf?.(plan) === false;
    return {
      ...plan,
      refusal: this.refusalOf(plan, set) ?? (isChanged ? CHANGED : null),
      needBytes: this.rules.needBytesOf?.(plan) ?? 0,
      loadsLast: (set.loadLast ?? []).some((model) => this.isMeant(model, plan)),
    };
  }

  private refusalOf(plan: WorkerModelPlan, { gpuRefusal, quarantined = [] }: ModelSet): string | null {
    const unloaded = quarantined.find((model) => model.isUnloaded && this.isMeant(model, plan));
    return (plan.device === 'gpu' ? gpuRefusal : null) ?? unloaded?.reason ?? null;
  }

  private isMeant({ lane, name, version }: ModelOfLane, plan: WorkerModelPlan): boolean {
    return lane === this.rules.lane && name === plan.name && version === plan.version;
  }
}

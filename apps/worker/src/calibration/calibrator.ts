import type { CalibrationStatus, WorkerModelPlan, WorkerPlan } from '@app/contracts';
import { calibrate, costKeyId, CostStore, planCells, sha256OfFile, type CostKey, type RunLimits } from '@app/models';
import type { WorkerHandle } from '@app/native';
import { readCpuModel, type CpuModel } from '@app/system';
import type { Logger } from '@app/telemetry';
import { statusOf, subjectOf, type IdentifiedSubject, type Subject } from './subject';

const POLL_MS = 500;
/**
 * The batch lane's executors give way to everything: there long rows may be measured, and several rows up to twice what a
 * run of that lane may take. A real-time executor cannot be interrupted: there a probe is as short as a run of its lane.
 */
const LIMITS: Record<WorkerPlan['lane'], RunLimits> = {
  realtime: { singleRowMsMax: 40, severalRowsMsMax: 40 },
  batch: { singleRowMsMax: 5000, severalRowsMsMax: 200 },
};

/** What costs are filed under: on a GPU, the device or instance and the share of it. */
function providerOf({ gpu }: WorkerPlan): string {
  return gpu === null ? 'cpu' : `cuda ${gpu.name} ${gpu.threadPercent ?? 100} %`;
}

const modelOf = ({ plan: { name, version } }: Subject): { model: string; version: string } => ({ model: name, version });

export interface CalibratorOptions {
  plan: WorkerPlan;
  worker: Pick<WorkerHandle, 'models' | 'measure' | 'setCostTable'>;
  dataDir: string;
  runtimeVersion: string;
  /** 0: only takes over what others measured. */
  budgetMs: number;
  /** Whether the files of a model are still those of its plan. */
  hasFilesOf: (model: WorkerModelPlan) => boolean;
  /** Whether this worker is the one to measure a model. */
  measures: (model: WorkerModelPlan) => boolean;
  log: Logger;
}

/**
 * Gives each model of a worker its cost table: from the cache as soon as one is there or changes, else by measuring, one
 * model at a time, if this worker is to measure and no other process does so already.
 */
export class Calibrator {
  private subjects: Subject[];
  private readonly store: CostStore;
  private readonly cpu: CpuModel = readCpuModel();
  private readonly stopping = new AbortController();
  private readonly timer: NodeJS.Timeout;
  private turn: Promise<void> | null = null;
  private measuring: Promise<void> | null = null;

  constructor(private readonly options: CalibratorOptions) {
    this.store = new CostStore(options.dataDir);
    this.subjects = options.plan.models.map(subjectOf);
    this.timer = setInterval(() => {
      this.turn ??= this.takeTurn().finally(() => (this.turn = null));
    }, POLL_MS);
  }

  /** The models that the worker has from now on: those with another plan are new. */
  setModels(models: WorkerModelPlan[]): void {
    const known = new Map(this.subjects.map((subject) => [JSON.stringify(subject.plan), subject]));
    this.subjects = models.map((plan) => known.get(JSON.stringify(plan)) ?? subjectOf(plan));
  }

  statuses(): CalibrationStatus[] {
    return this.subjects.map(statusOf);
  }

  /** Resolves once nothing is measured any more, at the latest when the worker is drained. */
  async stop(): Promise<void> {
    clearInterval(this.timer);
    this.stopping.abort();
    await this.turn;
    await this.measuring;
  }

  private async takeTurn(): Promise<void> {
    const models = new Map(this.options.worker.models().map((model) => [model.revision, model]));
    for (const subject of this.subjects) {
      const report = models.get(subject.plan.revision);
      if (report?.state !== 'ready') subject.fileModifiedMs = null; // once it is loaded again it has no table
      if (report?.state !== 'ready' || this.stopping.signal.aborted) continue;
      try {
        subject.signature ??= report.signature;
        subject.costId ??= await this.identify(subject);
        this.takeOver(subject);
      } catch (error) {
        this.skip(subject, (error as Error).message);
      }
    }
    if (this.options.budgetMs > 0 && !this.stopping.signal.aborted)
      this.measuring ??= this.measureNext().finally(() => (this.measuring = null));
  }

  private async identify({ plan }: Subject): Promise<Subject['costId']> {
    const modelSha256 = await sha256OfFile(plan.modelPath);
    if (!this.options.hasFilesOf(plan)) throw new Error('its files have changed');
    return { modelSha256, id: costKeyId(this.keyOf(modelSha256, plan)) };
  }

  private keyOf(modelSha256: string, { executorThreads }: WorkerModelPlan): CostKey {
    return {
      modelSha256,
      provider: providerOf(this.options.plan),
      intraOpThreads: executorThreads,
      cpu: this.cpu,
      runtimeVersion: this.options.runtimeVersion,
    };
  }

  /** A file that is new or has changed, unless it is our own that is being written. */
  private takeOver(subject: Subject): void {
    if (subject.costId === null || subject.state === 'measuring') return;
    const modifiedMs = this.store.modifiedMs(subject.costId.id);
    if (modifiedMs === null || modifiedMs === subject.fileModifiedMs) return;
    subject.fileModifiedMs = modifiedMs;
    const file = this.store.read(subject.costId.id);
    if (file === null) return;
    this.options.worker.setCostTable(subject.plan.revision, file.grid);
    Object.assign(subject, { state: file.finished ? 'measured' : 'waiting', reason: null });
    this.options.log.info({ ...modelOf(subject), finished: file.finished }, 'run costs loaded from the cache');
  }

  /** The first model that needs it and that no other process measures. */
  private async measureNext(): Promise<void> {
    for (const subject of this.subjects) {
      if (!this.isWaiting(subject) || !this.options.measures(subject.plan)) continue;
      let lock: Awaited<ReturnType<typeof this.store.lock>> = null;
      try {
        lock = await this.store.lock(subject.costId.id);
        if (lock === null) continue;
        this.takeOver(subject); // it may have been finished a moment ago
        if (this.isWaiting(subject)) return await this.measure(subject);
      } catch (error) {
        this.skip(subject, (error as Error).message);
      } finally {
        lock?.close();
      }
    }
  }

  private isReady(revision: number): boolean {
    return this.options.worker.models().some((model) => model.revision === revision && model.state === 'ready');
  }

  private isWaiting(subject: Subject): subject is IdentifiedSubject {
    return subject.state === 'waiting' && subject.costId !== null && subject.signature !== null && !this.stopping.signal.aborted;
  }

  private async measure(subject: IdentifiedSubject): Promise<void> {
    const { worker, plan, budgetMs, log } = this.options;
    const { signature } = subject;
    const { revision, name, rowTokensMax } = subject.plan;
    const isUnloaded = new AbortController();
    const { id, modelSha256 } = subject.costId;
    subject.state = 'measuring';
    log.info(modelOf(subject), 'measuring run costs');
    const phases = planCells(signature, rowTokensMax);
    const outcome = await calibrate({
      store: this.store,
      id,
      key: this.keyOf(modelSha256, subject.plan),
      model: name,
      phases,
      limits: LIMITS[plan.lane],
      budgetMs,
      signal: AbortSignal.any([this.stopping.signal, isUnloaded.signal]),
      known: this.store.read(id)?.grid ?? null,
      measure: ({ rows, length }) =>
        worker.measure({ revision, rows, length, trims: false }).catch((error: unknown) => {
          if (!this.isReady(revision)) isUnloaded.abort();
          throw error;
        }),
      onCell: () => undefined,
      onTable: (grid) => worker.setCostTable(revision, grid),
    });
    subject.fileModifiedMs = this.store.modifiedMs(id);
    if (outcome.state === 'skipped') return this.skip(subject, outcome.reason); // a run may end the process
    await this.trim(revision, phases);
    subject.state = outcome.state === 'measured' ? 'measured' : 'waiting';
    log.info(
      modelOf(subject),
      outcome.state === 'measured' ? 'run costs measured' : 'measuring was interrupted; it continues when the model is loaded again',
    );
  }

  /** What the longest runs needed would stay with the worker for good. */
  private async trim(revision: number, phases: ReturnType<typeof planCells>): Promise<void> {
    const smallest = phases[0]?.[0];
    if (smallest === undefined || this.stopping.signal.aborted) return;
    await this.options.worker.measure({ revision, ...smallest, trims: true }).catch(() => undefined); // the model may not run at all
  }

  private skip(subject: Subject, reason: string): void {
    if (!this.subjects.includes(subject)) return; // it was unloaded meanwhile
    if (subject.reason !== reason) this.options.log.warn({ ...modelOf(subject), reason }, 'run costs not measured; using built-in values');
    Object.assign(subject, { state: 'skipped', reason });
  }
}

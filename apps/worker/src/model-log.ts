import { mergingText, type ModelReport } from '@app/contracts';
import type { WorkerHandle } from '@app/native';
import type { Logger } from '@app/telemetry';

const POLL_MS = 200;

/** Logs every model of a worker once it is ready or has failed, and once it was unloaded. */
export class ModelLog {
  private readonly logged = new Map<number, ModelReport>();
  private timer: NodeJS.Timeout | null = null;

  constructor(
    private readonly worker: Pick<WorkerHandle, 'models'>,
    private readonly log: Logger,
  ) {}

  /** Call after the models of the worker have changed. Looks until all are loaded. */
  watch(): void {
    this.timer ??= setInterval(() => this.look(), POLL_MS);
  }

  stop(): void {
    if (this.timer !== null) clearInterval(this.timer);
    this.timer = null;
  }

  private look(): void {
    const models = new Map(this.worker.models().map((model) => [model.revision, model]));
    for (const [revision, { name, version }] of this.logged) {
      if (models.get(revision)?.state === 'ready' || models.get(revision)?.state === 'failed') continue;
      this.logged.delete(revision);
      if (!models.has(revision)) this.log.info({ model: name, version, revision }, 'model was unloaded');
    }
    for (const model of models.values()) if (model.state !== 'loading' && !this.logged.has(model.revision)) this.tell(model);
    if (this.logged.size === models.size) this.stop();
  }

  private tell(report: ModelReport): void {
    const { name, version, revision, state, reason, signature } = report;
    this.logged.set(revision, report);
    if (state === 'failed') this.log.error({ model: name, version, revision, reason }, 'model cannot be served');
    else this.log.info({ model: name, version, revision, rows: signature === null ? undefined : mergingText(signature) }, 'model is ready');
  }
}

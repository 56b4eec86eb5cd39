import type { WorkerPlan } from '@app/contracts';
import type { WorkerHandle } from '@app/native';
import type { PlacementReader } from '@app/process';
import type { Logger } from '@app/telemetry';
import type { Calibrator } from './calibration/calibrator';
import { ModelLog } from './model-log';

export interface PlacedModelsOptions {
  /** What the worker was started with. */
  plan: WorkerPlan;
  reader: Pick<PlacementReader, 'placement' | 'onChange' | 'close'>;
  worker: Pick<WorkerHandle, 'setModels' | 'models'>;
  calibrator: Pick<Calibrator, 'setModels'>;
  log: Logger;
}

/**
 * Keeps the models of a running worker those of the placement. Whatever else changes in its plan needs another process, which
 * the scheduler starts.
 */
export class PlacedModels {
  private current: WorkerPlan;
  private readonly modelLog: ModelLog;

  constructor(private readonly options: PlacedModelsOptions) {
    this.current = options.plan;
    this.modelLog = new ModelLog(options.worker, options.log);
  }

  /** What the worker runs now. */
  get plan(): WorkerPlan {
    return this.current;
  }

  follow(): void {
    this.modelLog.watch();
    this.options.reader.onChange(() => this.apply());
    this.apply(); // it may have changed since the worker was started
  }

  /** The models stay as they are. */
  stop(): void {
    this.modelLog.stop();
    this.options.reader.close();
  }

  private apply(): void {
    const { reader, worker, calibrator, log } = this.options;
    const { placement } = reader;
    const placed = placement?.workers.find(({ id }) => id === this.current.id);
    if (placement === null || placed === undefined) return;
    const { models, gpuRefusal } = placed;
    try {
      worker.setModels({ models, gpuRefusal, quarantined: placement.quarantined, loadLast: placement.loadLast });
    } catch (error) {
      log.error({ err: error }, 'the models of the placement cannot be taken over; those that are loaded stay');
      return;
    }
    this.current = { ...this.current, models, gpuRefusal };
    calibrator.setModels(models);
    this.modelLog.watch();
  }
}

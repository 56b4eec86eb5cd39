import { runPaths, type Config } from '@app/config';
import type { BatchControlStatus } from '@app/contracts';
import { fetchStatus, PlacementReader } from '@app/process';
import { Inject, Injectable } from '@nestjs/common';
import { CONFIG } from '../tokens';

/** As long as a turn of the lane control. */
const FRESH_MS = 500;
const ANSWER_MS_MAX = 200;

/** What the scheduler's SLO controller lets the batch lane do. */
@Injectable()
export class BatchLaneState {
  private askedMs = -Infinity;
  private workers: Promise<readonly BatchControlStatus[]> = Promise.resolve([]);

  constructor(
    @Inject(CONFIG) private readonly config: Config,
    private readonly placement: PlacementReader,
  ) {}

  /** Whether no batch worker with the model may begin runs, apart from the floor. Without a scheduler nothing is limited. */
  async isPaused(model: string, version: string): Promise<boolean> {
    if (performance.now() - this.askedMs > FRESH_MS) {
      this.askedMs = performance.now();
      this.workers = this.ask();
    }
    const control = new Map((await this.workers).map((worker) => [worker.worker, worker]));
    const able = this.placement
      .workers()
      .filter(({ lane, models }) => lane === 'batch' && models.some((plan) => plan.name === model && plan.version === version));
    return able.length > 0 && able.every(({ id }) => control.get(id)?.executors === 0);
  }

  private ask(): Promise<readonly BatchControlStatus[]> {
    const socket = runPaths(this.config.runDir).statusSocket('scheduler');
    return fetchStatus('scheduler', socket, ANSWER_MS_MAX).then(
      ({ laneControl }) => laneControl?.batchWorkers ?? [],
      () => [],
    );
  }
}

import { OnWorkerEvent, Processor, WorkerHost } from '@nestjs/bullmq';
import { Inject } from '@nestjs/common';
import { BULL_OPTIONS, CONSUMER_OPTIONS, CONTROL_QUEUE, type BullOptions, type ControlPayload, type Job } from '@app/queues';
import { BatchRunner } from '../batch-runner';

/** Takes the hints that a batch was created or is to be cancelled. */
@Processor(CONTROL_QUEUE, CONSUMER_OPTIONS)
export class ControlConsumer extends WorkerHost {
  constructor(
    @Inject(BatchRunner) private readonly runner: BatchRunner,
    @Inject(BULL_OPTIONS) private readonly options: BullOptions,
  ) {
    super();
  }

  override process(job: Job<ControlPayload>): Promise<void> {
    return this.runner.look(job.data.batchId);
  }

  /** An `error` event that nobody listens to ends the process. */
  @OnWorkerEvent('error')
  onError(error: Error): void {
    this.options.onError(error);
  }
}

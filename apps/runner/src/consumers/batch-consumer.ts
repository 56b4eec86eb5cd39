import { OnWorkerEvent, Processor, WorkerHost } from '@nestjs/bullmq';
import { Inject } from '@nestjs/common';
import {
  BATCH_QUEUE,
  BULL_OPTIONS,
  CONSUMER_OPTIONS,
  giveBack,
  isBatchPayload,
  UnrecoverableError,
  type BatchPayload,
  type BullOptions,
  type Job,
} from '@app/queues';
import { BatchRunner } from '../batch-runner';

/** Takes up batches: while a job is in work, its lock makes this node the batch's owner. */
@Processor(BATCH_QUEUE, CONSUMER_OPTIONS)
export class BatchConsumer extends WorkerHost {
  constructor(
    @Inject(BatchRunner) private readonly runner: BatchRunner,
    @Inject(BULL_OPTIONS) private readonly options: BullOptions,
  ) {
    super();
  }

  override async process(job: Job<BatchPayload>, token?: string): Promise<void> {
    if (!isBatchPayload(job.data)) throw new UnrecoverableError('expected {batchId} but received another job');
    try {
      await this.runner.own(job.data.batchId);
    } catch (error) {
      if (this.runner.isEnding) await giveBack(job, token);
      throw error;
    }
  }

  /** An `error` event that nobody listens to ends the process. */
  @OnWorkerEvent('error')
  onError(error: Error): void {
    this.options.onError(error);
  }
}

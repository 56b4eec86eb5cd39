import { OnWorkerEvent, Processor, WorkerHost } from '@nestjs/bullmq';
import { Inject } from '@nestjs/common';
import {
  BULL_OPTIONS,
  isWebhookPayload,
  UnrecoverableError,
  WEBHOOK_CONSUMER_OPTIONS,
  WEBHOOK_QUEUE,
  type BullOptions,
  type Job,
  type WebhookPayload,
} from '@app/queues';
import { WebhookOutbox } from '../webhooks/webhook-outbox';

/** Delivers webhooks. A job that fails is brought again by BullMQ, later each time. */
@Processor(WEBHOOK_QUEUE, WEBHOOK_CONSUMER_OPTIONS)
export class WebhookConsumer extends WorkerHost {
  constructor(
    @Inject(WebhookOutbox) private readonly outbox: WebhookOutbox,
    @Inject(BULL_OPTIONS) private readonly options: BullOptions,
  ) {
    super();
  }

  override async process(job: Job<WebhookPayload>): Promise<void> {
    if (!isWebhookPayload(job.data)) throw new UnrecoverableError('expected {name} but received another job');
    await this.outbox.deliver(job.data.name);
  }

  /** An `error` event that nobody listens to ends the process. */
  @OnWorkerEvent('error')
  onError(error: Error): void {
    this.options.onError(error);
  }
}

import { Module, type DynamicModule } from '@nestjs/common';
import type { WebhookConfig } from '@app/config';
import { BatchQueues, QueuesModule, type BullOptions } from '@app/queues';
import { BatchRunner, type BatchRunnerOptions } from './batch-runner';
import { BullConsumers, CONSUMER_LIMITS, type ConsumerLimits } from './consumers/bull-consumers';
import { ChunkConsumer } from './consumers/chunk-consumer';
import { BatchConsumer } from './consumers/batch-consumer';
import { FirstChunkConsumer } from './consumers/first-chunk-consumer';
import { WebhookConsumer } from './consumers/webhook-consumer';
import { WebhookOutbox } from './webhooks/webhook-outbox';

/** All but what the module provides. */
export type RunnerOptions = Omit<BatchRunnerOptions, 'queues' | 'webhooks'> & { webhooks: readonly WebhookConfig[] };

/** The batch runner with its queues and consumers. Nothing starts by itself: see `openRunner`. */
@Module({})
export class RunnerModule {
  static of(options: RunnerOptions, bull: BullOptions): DynamicModule {
    return {
      module: RunnerModule,
      imports: [QueuesModule.forRootAsync({ useFactory: () => bull })],
      providers: [
        { provide: WebhookOutbox, inject: [BatchQueues], useFactory: (queues: BatchQueues) => openOutbox(options, queues) },
        {
          provide: BatchRunner,
          inject: [BatchQueues, WebhookOutbox],
          useFactory: (queues: BatchQueues, webhooks: WebhookOutbox) => new BatchRunner({ ...options, queues, webhooks }),
        },
        {
          provide: CONSUMER_LIMITS,
          useValue: { nodeId: options.context.nodeId, chunkConcurrency: options.chunkConcurrency } satisfies ConsumerLimits,
        },
        BatchConsumer,
        ChunkConsumer,
        WebhookConsumer,
        FirstChunkConsumer,
        BullConsumers,
      ],
    };
  }
}

function openOutbox({ webhooks, context, metrics }: RunnerOptions, queues: BatchQueues): WebhookOutbox {
  const { store, log } = context;
  return new WebhookOutbox({
    webhooks,
    store,
    enqueue: (names) => queues.addWebhooks(names),
    onAttempt: (outcome) => metrics.webhook(outcome),
    log,
  });
}

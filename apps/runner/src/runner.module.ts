import { Module, type DynamicModule } from '@nestjs/common';
import { BatchQueues, QueuesModule, type BullOptions } from '@app/queues';
import { BatchRunner, type BatchRunnerOptions } from './batch-runner';
import { BullConsumers, CONSUMER_LIMITS, type ConsumerLimits } from './consumers/bull-consumers';
import { ChunkConsumer } from './consumers/chunk-consumer';
import { BatchConsumer } from './consumers/batch-consumer';
import { FirstChunkConsumer } from './consumers/first-chunk-consumer';

/** The batch runner with its queues and consumers. Nothing starts by itself: see `openRunner`. */
@Module({})
export class RunnerModule {
  static of(options: Omit<BatchRunnerOptions, 'queues'>, bull: BullOptions): DynamicModule {
    return {
      module: RunnerModule,
      imports: [QueuesModule.forRootAsync({ useFactory: () => bull })],
      providers: [
        { provide: BatchRunner, inject: [BatchQueues], useFactory: (queues: BatchQueues) => new BatchRunner({ ...options, queues }) },
        {
          provide: CONSUMER_LIMITS,
          useValue: { nodeId: options.context.nodeId, chunkConcurrency: options.chunkConcurrency } satisfies ConsumerLimits,
        },
        BatchConsumer,
        ChunkConsumer,
        FirstChunkConsumer,
        BullConsumers,
      ],
    };
  }
}

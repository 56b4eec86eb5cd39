import { BullModule } from '@nestjs/bullmq';
import { Module, type DynamicModule, type FactoryProvider, type ModuleMetadata } from '@nestjs/common';
import { Redis } from 'ioredis';
import { BatchQueues, BULL_OPTIONS } from './batch-queues';
import {
  BATCH_JOB,
  BATCH_QUEUE,
  CHUNK_JOB,
  CHUNK_QUEUE,
  FIRST_CHUNK_QUEUE,
  openRedis,
  PatientConsumer,
  queueOptions,
  WEBHOOK_JOB,
  WEBHOOK_QUEUE,
  type BullOptions,
} from './bull';

/** Where the options come from. */
export type BullOptionsSource = Pick<ModuleMetadata, 'imports'> & Pick<FactoryProvider<BullOptions>, 'inject' | 'useFactory'>;

@Module({})
class RedisModule {
  static forRootAsync({ imports, ...source }: BullOptionsSource): DynamicModule {
    return {
      module: RedisModule,
      ...(imports === undefined ? {} : { imports }),
      providers: [
        { provide: BULL_OPTIONS, ...source },
        { provide: Redis, inject: [BULL_OPTIONS], useFactory: openRedis },
      ],
      exports: [BULL_OPTIONS, Redis],
    };
  }
}

/**
 * Provides `BatchQueues`, and starts the `@Processor`s of the application when it calls `BullRegistrar.register()`: a
 * consumer may have to wait for a lock. Redis need not be there yet.
 */
@Module({})
export class QueuesModule {
  static forRootAsync(source: BullOptionsSource): DynamicModule {
    BullModule.workerClass = PatientConsumer;
    const redis = RedisModule.forRootAsync(source);
    return {
      module: QueuesModule,
      imports: [
        redis,
        BullModule.forRootAsync({
          imports: [redis],
          inject: [Redis, BULL_OPTIONS],
          useFactory: queueOptions,
          extraOptions: { manualRegistration: true },
        }),
        BullModule.registerQueue(
          { name: BATCH_QUEUE, defaultJobOptions: BATCH_JOB },
          { name: CHUNK_QUEUE, defaultJobOptions: CHUNK_JOB },
          { name: WEBHOOK_QUEUE, defaultJobOptions: WEBHOOK_JOB },
          { name: FIRST_CHUNK_QUEUE, defaultJobOptions: CHUNK_JOB },
        ),
      ],
      providers: [BatchQueues],
      exports: [BatchQueues, redis],
    };
  }
}

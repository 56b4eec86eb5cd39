import { Processor } from '@nestjs/bullmq';
import { Inject } from '@nestjs/common';
import { BULL_OPTIONS, CONSUMER_OPTIONS, FIRST_CHUNK_QUEUE, type BullOptions } from '@app/queues';
import { BatchRunner } from '../batch-runner';
import { ChunkConsumer } from './chunk-consumer';

/** Takes chunks of batches of which little runs, beside the others. */
@Processor(FIRST_CHUNK_QUEUE, CONSUMER_OPTIONS)
export class FirstChunkConsumer extends ChunkConsumer {
  constructor(@Inject(BatchRunner) runner: BatchRunner, @Inject(BULL_OPTIONS) options: BullOptions) {
    super(runner, options);
  }
}

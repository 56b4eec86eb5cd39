import { Module, type OnModuleInit } from '@nestjs/common';
import { HttpAdapterHost } from '@nestjs/core';
import { BatchService } from '../batches/batch.service';
import { BatchesModule } from '../batches/batches.module';
import { fastifyOf } from '../http/fastify-adapter';
import { serveQueueBoard } from './queue-board';

/** `/admin/queues`. */
@Module({ imports: [BatchesModule] })
export class AdminModule implements OnModuleInit {
  constructor(
    private readonly http: HttpAdapterHost,
    private readonly batches: BatchService,
  ) {}

  onModuleInit(): void {
    serveQueueBoard(fastifyOf(this.http), this.batches);
  }
}

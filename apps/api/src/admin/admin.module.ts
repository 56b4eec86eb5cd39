import { Module, type OnModuleInit } from '@nestjs/common';
import { HttpAdapterHost } from '@nestjs/core';
import { BatchService } from '../batches/batch.service';
import { BatchesModule } from '../batches/batches.module';
import { fastifyOf } from '../http/fastify-adapter';
import { JsonBody } from '../live/open-inference/json-body';
import { LogLevelController } from './log-level.controller';
import { serveQueueBoard } from './queue-board';

/** `/admin`: queues, and how much is logged. */
@Module({ imports: [BatchesModule], controllers: [LogLevelController], providers: [JsonBody] })
export class AdminModule implements OnModuleInit {
  constructor(
    private readonly http: HttpAdapterHost,
    private readonly batches: BatchService,
  ) {}

  onModuleInit(): void {
    serveQueueBoard(fastifyOf(this.http), this.batches);
  }
}

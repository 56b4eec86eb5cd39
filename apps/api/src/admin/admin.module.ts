import { Inject, Module, type OnModuleInit } from '@nestjs/common';
import type { Config } from '@app/config';
import type { Logger } from '@app/telemetry';
import { HttpAdapterHost } from '@nestjs/core';
import { BatchService } from '../batches/batch.service';
import { BatchesModule } from '../batches/batches.module';
import { fastifyOf } from '../http/fastify-adapter';
import { CONFIG, LOGGER } from '../tokens';
import { JsonBody } from '../live/open-inference/json-body';
import { LogLevelController } from './log-level.controller';
import { serveQueueBoard } from './queue-board';

/** `/admin`: queues, and how much is logged. */
@Module({ imports: [BatchesModule], controllers: [LogLevelController], providers: [JsonBody] })
export class AdminModule implements OnModuleInit {
  constructor(
    @Inject(CONFIG) private readonly config: Config,
    @Inject(LOGGER) private readonly log: Logger,
    private readonly http: HttpAdapterHost,
    private readonly batches: BatchService,
  ) {}

  onModuleInit(): void {
    const { actions } = this.config.queueBoard;
    if (actions) this.log.warn('operators can pause queues and remove jobs at /admin/queues, on all nodes at once: queueBoard.actions');
    serveQueueBoard(fastifyOf(this.http), this.batches, actions);
  }
}

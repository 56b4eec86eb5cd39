import { Module, type OnModuleInit } from '@nestjs/common';
import { HttpAdapterHost } from '@nestjs/core';
import { fastifyOf } from '../http/fastify-adapter';
import { Breakers } from '../resilience/breakers';
import { CONFIG, LOGGER } from '../tokens';
import { BatchService } from './batch.service';
import { BatchesController } from './batches.controller';
import { BatchEventsController } from './events/batch-events.controller';
import { BatchWatches } from './events/batch-watches';
import { FilesController } from './files.controller';
import { openBatchService } from './open-batches';
import { acceptUploads } from './receive-upload';
import { UploadsController } from './uploads.controller';

/** `/v1/files`, `/v1/uploads` and `/v1/batches`. */
@Module({
  controllers: [FilesController, UploadsController, BatchesController, BatchEventsController],
  providers: [{ provide: BatchService, useFactory: openBatchService, inject: [CONFIG, LOGGER, Breakers] }, BatchWatches],
  exports: [BatchService],
})
export class BatchesModule implements OnModuleInit {
  constructor(private readonly http: HttpAdapterHost) {}

  onModuleInit(): void {
    acceptUploads(fastifyOf(this.http));
  }
}

import { Module, type DynamicModule } from '@nestjs/common';
import { BatchService } from './batch.service';
import { BatchesController } from './batches.controller';
import { FilesController } from './files.controller';

/**
 * `/v1/files` and `/v1/batches`. Who composes the application opens the service (`openBatchService`), calls
 * `acceptUploads` on Fastify, and closes the service in its shutdown list.
 */
@Module({})
export class BatchesModule {
  static of(service: BatchService): DynamicModule {
    return {
      module: BatchesModule,
      controllers: [FilesController, BatchesController],
      providers: [{ provide: BatchService, useValue: service }],
      exports: [BatchService],
    };
  }
}

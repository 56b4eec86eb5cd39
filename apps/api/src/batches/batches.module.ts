import type { Config } from '@app/config';
import { Module, type DynamicModule } from '@nestjs/common';
import { CONFIG } from '../parts';
import { BatchService } from './batch.service';
import { BatchesController } from './batches.controller';
import { FilesController } from './files.controller';

/**
 * `/v1/files` and `/v1/batches`. Who composes the application opens the service (`openBatchService`), calls
 * `acceptUploads` on Fastify, and closes the service in its shutdown list.
 */
@Module({})
export class BatchesModule {
  static of(service: BatchService, config: Config): DynamicModule {
    return {
      module: BatchesModule,
      controllers: [FilesController, BatchesController],
      providers: [
        { provide: BatchService, useValue: service },
        { provide: CONFIG, useValue: config },
      ],
      exports: [BatchService],
    };
  }
}

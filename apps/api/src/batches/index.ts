export { BatchService } from './batch.service';
export { BatchesModule } from './batches.module';
export { openBatchService } from './open-batches';
export { acceptUploads } from './receive-upload';

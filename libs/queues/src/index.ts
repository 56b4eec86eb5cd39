export * from './batch-queues';
export {
  BATCH_QUEUE,
  CHUNK_QUEUE,
  CHUNK_RETRY_MS_MAX,
  CONSUMER_OPTIONS,
  FIRST_CHUNK_QUEUE,
  giveBack,
  isBatchPayload,
  isChunkPayload,
  isWebhookPayload,
  openRedis,
  UnrecoverableError,
  WEBHOOK_CONSUMER_OPTIONS,
  WEBHOOK_QUEUE,
  type BatchPayload,
  type BullOptions,
  type ChunkPayload,
  type Job,
  type WebhookPayload,
} from './bull';
export * from './chunk-events';
export * from './chunk-job-id';
export type { Redis } from 'ioredis';
export * from './deadline';
export * from './queues.module';
export * from './redis-address';

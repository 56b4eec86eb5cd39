export * from './batch-queues';
export {
  CHUNK_QUEUE,
  CHUNK_RETRY_MS_MAX,
  CONSUMER_OPTIONS,
  CONTROL_QUEUE,
  openRedis,
  UnrecoverableError,
  type BullOptions,
  type ChunkPayload,
  type ControlPayload,
  type Job,
} from './bull';
export type { Redis } from 'ioredis';
export * from './deadline';
export * from './queues.module';
export * from './redis-address';

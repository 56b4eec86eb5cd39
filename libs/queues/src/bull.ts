import { Worker, type ConnectionOptions, type JobsOptions, type Processor, type QueueOptions, type WorkerOptions } from 'bullmq';
import { Redis } from 'ioredis';
import type { RedisAddress } from './redis-address';

export type { Job } from 'bullmq';
/** Thrown for a job that must not be tried again. */
export { UnrecoverableError } from 'bullmq';

export const CONTROL_QUEUE = 'batch-control';
export const CHUNK_QUEUE = 'batch-chunks';

/** "Look at this batch now": it was created, or somebody asked to cancel it. */
export interface ControlPayload {
  batchId: string;
}

/** A reference to rows, never the rows. */
export interface ChunkPayload {
  batchId: string;
  chunkIndex: number;
}

export interface BullOptions {
  address: RedisAddress;
  /** The instance id: namespace of all keys. */
  instanceId: string;
  /** Told about broken connections; they mend themselves. */
  onError: (error: Error) => void;
}

const RECONNECT_MS_MAX = 1_000;
const CONNECT_MS_MAX = 5_000;
/** More than the longest command that blocks: consumers wait for jobs up to 10 s at a time. */
const SILENCE_MS_MAX = 30_000;
const SENTINEL_ANSWER_MS_MAX = 2_000;
/** The server has become a replica: what it refused was not done, and the client is to ask again where the primary is. */
const NO_LONGER_PRIMARY = /\b(READONLY|UNBLOCKED)\b/;
const RESEND = 2;
/** ioredis waits this long for a connection to end, even if it has ended already. */
const DISCONNECT_MS = 100;
const LOCK_MS = 60_000;
const STALL_CHECK_MS = 15_000;
const KEPT_JOBS = { count: 1_000, age: 24 * 3600 };
const EVENTS_MAX = 1_000;
const CHUNK_RETRY_MS_MIN = 1_000;
/** The longest time that a chunk that failed waits before it is tried again. */
export const CHUNK_RETRY_MS_MAX = 30_000;

/** `attemptsMade`: 1 after the first failure. */
export function chunkRetryDelayMs(attemptsMade: number): number {
  return Math.min(CHUNK_RETRY_MS_MIN * 2 ** (attemptsMade - 1), CHUNK_RETRY_MS_MAX);
}

const CONTROL_JOB: JobsOptions = { removeOnComplete: KEPT_JOBS, removeOnFail: KEPT_JOBS };

/** A chunk that fails is tried again until its batch ends; its job keeps the last stack trace only. */
export const CHUNK_JOB: JobsOptions = {
  ...CONTROL_JOB,
  attempts: Number.MAX_SAFE_INTEGER,
  backoff: { type: 'doubling' },
  stackTraceLimit: 1,
};

/** The producers' connection: commands fail fast while Redis is away. Consumers take its options over. */
export function openRedis({ address, onError }: Pick<BullOptions, 'address' | 'onError'>): Redis {
  const redis = new Redis({
    ...address,
    maxRetriesPerRequest: 1,
    enableOfflineQueue: false,
    retryStrategy: (attempt) => Math.min(50 * 2 ** Math.min(attempt, 10), RECONNECT_MS_MAX),
    reconnectOnError: (error) => (NO_LONGER_PRIMARY.test(error.message) ? RESEND : false),
    connectTimeout: CONNECT_MS_MAX,
    socketTimeout: SILENCE_MS_MAX,
    disconnectTimeout: DISCONNECT_MS,
    // Told of a new primary while it connects, ioredis 6.0.0 ends such a connection for good.
    failoverDetector: false,
    sentinelCommandTimeout: SENTINEL_ANSWER_MS_MAX,
  });
  redis.on('error', onError);
  return redis;
}

/** What all queues have in common. */
export function queueOptions(redis: Redis, { instanceId }: BullOptions): QueueOptions {
  return {
    connection: redis,
    prefix: `interleave-${instanceId}`,
    streams: { events: { maxLen: EVENTS_MAX } },
    defaultJobOptions: CONTROL_JOB,
  };
}

/** For `@Processor`. */
export const CONSUMER_OPTIONS = {
  lockDuration: LOCK_MS,
  stalledInterval: STALL_CHECK_MS,
  settings: { backoffStrategy: chunkRetryDelayMs },
} satisfies Partial<WorkerOptions>;

/** A consumer waits for Redis as long as it takes, on connections of its own, where the producers' fails fast. */
export class PatientConsumer extends Worker {
  constructor(name: string, processor?: string | URL | null | Processor, options?: WorkerOptions) {
    if (!(options?.connection instanceof Redis)) throw new Error(`queue ${name}: expected the connection of the producers`);
    const connection = { ...options.connection.options, maxRetriesPerRequest: null, enableOfflineQueue: true } as ConnectionOptions;
    super(name, processor, { ...options, connection });
  }
}

import { setTimeout as sleep } from 'node:timers/promises';
import {
  WaitingError,
  Worker,
  type ConnectionOptions,
  type Job,
  type JobsOptions,
  type Processor,
  type QueueOptions,
  type WorkerOptions,
} from 'bullmq';
import { Redis } from 'ioredis';
import { queueTelemetry } from './job-trace';
import type { RedisAddress } from './redis-address';

export type { Job } from 'bullmq';
/**
 * Another node may have the job at once, and it is no failure. This one takes no other in its place for `pauseMs`. Rejects in any
 * case, as BullMQ wants it.
 */
export async function giveBack(job: Job, token: string | undefined, pauseMs = 0): Promise<never> {
  await job.moveToWait(token);
  if (pauseMs > 0) await sleep(pauseMs);
  throw new WaitingError();
}

/** Thrown for a job that must not be tried again. */
export { UnrecoverableError } from 'bullmq';

/** One job for each batch that is not over, under the batch's id: whoever has its lock owns the batch. */
export const BATCH_QUEUE = 'batches';
export const CHUNK_QUEUE = 'batch-chunks';
/** One job for each webhook that is to be delivered, under the name of its record in the store. */
export const WEBHOOK_QUEUE = 'webhooks';
/** Chunks of batches of which little runs: they do not wait behind those of a large one. */
export const FIRST_CHUNK_QUEUE = 'batch-chunks-first';

export interface BatchPayload {
  batchId: string;
}

/** A reference to rows, never the rows. */
export interface ChunkPayload {
  batchId: string;
  chunkIndex: number;
  /** What the batch is to get beside others of its tenant, as its owner says now; absent: 1. */
  weight?: number;
}

export interface WebhookPayload {
  name: string;
}

/** Others may write to the same Redis. */
export const isWebhookPayload = (data: unknown): data is WebhookPayload => typeof (data as WebhookPayload | null)?.name === 'string';

export const isBatchPayload = (data: unknown): data is BatchPayload => typeof (data as BatchPayload | null)?.batchId === 'string';

export const isChunkPayload = (data: unknown): data is ChunkPayload =>
  isBatchPayload(data) &&
  Number.isSafeInteger((data as ChunkPayload).chunkIndex) &&
  (data as ChunkPayload).chunkIndex >= 0 &&
  isWeight((data as ChunkPayload).weight);

const isWeight = (weight: unknown): boolean => weight === undefined || (Number.isFinite(weight) && (weight as number) > 0);

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
/** A node that is lost keeps its jobs for this long, and until the next look for such jobs: together at most 20 s. */
const LOCK_MS = 15_000;
const STALL_CHECK_MS = 5_000;
const KEPT_JOBS = { count: 1_000, age: 24 * 3600 };
const EVENTS_MAX = 1_000;
const CHUNK_RETRY_MS_MIN = 1_000;
/** The longest time that a chunk that failed waits before it is tried again. */
export const CHUNK_RETRY_MS_MAX = 30_000;

/** `attemptsMade`: 1 after the first failure. */
export function chunkRetryDelayMs(attemptsMade: number): number {
  return Math.min(CHUNK_RETRY_MS_MIN * 2 ** (attemptsMade - 1), CHUNK_RETRY_MS_MAX);
}

const WEBHOOK_RETRY_MS_MIN = 5_000;
const WEBHOOK_RETRY_MS_MAX = 3_600_000;

/** `attemptsMade`: 1 after the first failure. */
export function webhookRetryDelayMs(attemptsMade: number): number {
  return Math.min(WEBHOOK_RETRY_MS_MIN * 2 ** (attemptsMade - 1), WEBHOOK_RETRY_MS_MAX);
}

const UNTIL_DONE: JobsOptions = { attempts: Number.MAX_SAFE_INTEGER, backoff: { type: 'doubling' }, stackTraceLimit: 1 };

/** A batch is brought until it is over. Nothing is kept: a batch whose job is gone too early may get a new one. */
export const BATCH_JOB: JobsOptions = { ...UNTIL_DONE, removeOnComplete: true, removeOnFail: true };

/** Its consumer says when it is enough. Nothing is kept: the store knows what is to be delivered. */
export const WEBHOOK_JOB: JobsOptions = { ...UNTIL_DONE, removeOnComplete: true, removeOnFail: true };

/** A chunk that fails is tried again until its batch ends; its job keeps the last stack trace only. */
export const CHUNK_JOB: JobsOptions = { ...UNTIL_DONE, removeOnComplete: KEPT_JOBS, removeOnFail: KEPT_JOBS };

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
    ...queueTelemetry(),
  };
}

/** For `@Processor`. */
export const CONSUMER_OPTIONS = {
  lockDuration: LOCK_MS,
  stalledInterval: STALL_CHECK_MS,
  // By default a job fails for good once a second node dies of whatever else while it has it.
  maxStalledCount: Number.MAX_SAFE_INTEGER,
  settings: { backoffStrategy: chunkRetryDelayMs },
} satisfies Partial<WorkerOptions>;

/** For the `@Processor` of webhooks. */
export const WEBHOOK_CONSUMER_OPTIONS = {
  ...CONSUMER_OPTIONS,
  settings: { backoffStrategy: webhookRetryDelayMs },
} satisfies Partial<WorkerOptions>;

/** Options of a connection that waits for Redis as long as it takes, where the producers' fails fast. */
export function patientConnection(producers: Redis): ConnectionOptions {
  return { ...producers.options, maxRetriesPerRequest: null, enableOfflineQueue: true } as ConnectionOptions;
}

/** A consumer on patient connections of its own. */
export class PatientConsumer extends Worker {
  constructor(name: string, processor?: string | URL | null | Processor, options?: WorkerOptions) {
    if (!(options?.connection instanceof Redis)) throw new Error(`queue ${name}: expected the connection of the producers`);
    super(name, processor, { ...options, connection: patientConnection(options.connection) });
  }
}

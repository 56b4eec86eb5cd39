import { Queue, Worker, type JobsOptions } from 'bullmq';
import { Redis } from 'ioredis';
import { withDeadline } from './deadline';
import type { RedisAddress } from './redis-address';

/** Thrown for a job that must not be tried again. */
export { UnrecoverableError } from 'bullmq';

/** Every BullMQ object and Redis connection of Interleave is made in this file. */

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

export interface ChunkJob {
  /** New for each hand-over: BullMQ takes no second job with an id that it remembers. */
  jobId: string;
  payload: ChunkPayload;
}

const COMMAND_TIMEOUT_MS = 2_000;
const RECONNECT_MS_MAX = 1_000;
/** ioredis waits so long for a connection to end, also for one that has ended. */
const DISCONNECT_MS = 100;
const LOCK_MS = 60_000;
const STALL_CHECK_MS = 15_000;
const KEPT_JOBS = { count: 1_000, age: 24 * 3600 };
const EVENTS_MAX = 1_000;
const CHUNK_RETRY_MS_MIN = 1_000;
/** The longest time that a chunk that failed waits before it is tried again. */
export const CHUNK_RETRY_MS_MAX = 30_000;

/** A chunk that fails is tried again until its batch ends; its job keeps the last stack trace only. */
const CHUNK_JOB: JobsOptions = {
  removeOnComplete: KEPT_JOBS,
  removeOnFail: KEPT_JOBS,
  attempts: Number.MAX_SAFE_INTEGER,
  backoff: { type: 'doubling' },
  stackTraceLimit: 1,
};

/** `attemptsMade`: 1 after the first failure. */
export function chunkRetryDelayMs(attemptsMade: number): number {
  return Math.min(CHUNK_RETRY_MS_MIN * 2 ** (attemptsMade - 1), CHUNK_RETRY_MS_MAX);
}

const retryStrategy = (attempt: number): number => Math.min(50 * 2 ** Math.min(attempt, 10), RECONNECT_MS_MAX);

export interface BullOptions {
  address: RedisAddress;
  /** The instance id: namespace of all keys. */
  instanceId: string;
  /** Told about broken connections; they mend themselves. */
  onError: (error: Error) => void;
}

const prefixOf = (options: BullOptions): string => `interleave-${options.instanceId}`;

/**
 * The producing side. Every command fails fast while Redis is away: what could not be queued is on disk, and the runner's
 * reconciler finds it there.
 */
export class BatchQueues {
  private readonly redis: Redis;
  private readonly control: Queue<ControlPayload>;
  private readonly chunks: Queue<ChunkPayload>;

  constructor(options: BullOptions) {
    this.redis = new Redis({
      ...options.address,
      maxRetriesPerRequest: 1,
      enableOfflineQueue: false,
      retryStrategy,
      disconnectTimeout: DISCONNECT_MS,
    });
    this.redis.on('error', options.onError);
    const common = {
      connection: this.redis,
      prefix: prefixOf(options),
      streams: { events: { maxLen: EVENTS_MAX } },
      defaultJobOptions: { removeOnComplete: KEPT_JOBS, removeOnFail: KEPT_JOBS },
    };
    this.control = new Queue<ControlPayload>(CONTROL_QUEUE, common);
    this.chunks = new Queue<ChunkPayload>(CHUNK_QUEUE, { ...common, defaultJobOptions: CHUNK_JOB });
    for (const queue of [this.control, this.chunks]) queue.on('error', options.onError);
  }

  /** False while Redis is away or still loading its data. */
  isReady(): boolean {
    return this.redis.status === 'ready';
  }

  /** Asks the runner to look at a batch now. */
  async nudge(batchId: string): Promise<void> {
    this.requireReady();
    await this.bounded(this.control.add('look', { batchId }));
  }

  async addChunks(jobs: ChunkJob[]): Promise<void> {
    this.requireReady();
    await this.bounded(this.chunks.addBulk(jobs.map(({ jobId, payload }) => ({ name: 'chunk', data: payload, opts: { jobId } }))));
  }

  /** `gone`: finished, or Redis has never heard of it. */
  async chunkState(jobId: string): Promise<'waiting' | 'active' | 'gone'> {
    this.requireReady();
    const state = await this.bounded(this.chunks.getJobState(jobId));
    if (state === 'active') return 'active';
    return state === 'completed' || state === 'failed' || state === 'unknown' ? 'gone' : 'waiting';
  }

  /** Forgets waiting chunks; what runs is not touched. */
  async removeChunks(jobIds: string[]): Promise<void> {
    this.requireReady();
    for (const jobId of jobIds) await this.bounded(this.chunks.remove(jobId));
  }

  /**
   * Forgets all chunks. For a runner that starts: chunks that a killed runner had in work would otherwise stay locked
   * for `LOCK_MS`, and what is to be done is known from the manifests.
   */
  async clearChunks(): Promise<void> {
    this.requireReady();
    await this.bounded(this.chunks.obliterate({ force: true }));
  }

  /** For bull-board, read only. */
  boardQueues(): Queue[] {
    return [this.control, this.chunks];
  }

  async close(): Promise<void> {
    await this.bounded(Promise.allSettled([this.control.close(), this.chunks.close()])).catch(() => undefined);
    this.redis.disconnect();
  }

  private requireReady(): void {
    if (!this.isReady()) throw new Error(`Redis is not connected (${this.redis.status})`);
  }

  private bounded<T>(command: Promise<T>): Promise<T> {
    return withDeadline(command, COMMAND_TIMEOUT_MS, 'Redis');
  }
}

export interface BatchConsumersOptions extends BullOptions {
  chunkConcurrency: number;
  onControl: (payload: ControlPayload) => Promise<void>;
  /** Its text is the job's return value; keep it short, it travels in the event stream. */
  onChunk: (payload: ChunkPayload, jobId: string) => Promise<string>;
}

/** The consuming side, one per node: in the batch runner. Reconnects by itself. */
export class BatchConsumers {
  private readonly consumers: Worker[];

  constructor(options: BatchConsumersOptions) {
    const common = {
      connection: { ...options.address, maxRetriesPerRequest: null, retryStrategy, disconnectTimeout: DISCONNECT_MS },
      prefix: prefixOf(options),
      lockDuration: LOCK_MS,
      stalledInterval: STALL_CHECK_MS,
    };
    this.consumers = [
      new Worker<ControlPayload>(CONTROL_QUEUE, (job) => options.onControl(job.data), common),
      new Worker<ChunkPayload>(CHUNK_QUEUE, (job) => options.onChunk(job.data, String(job.id)), {
        ...common,
        concurrency: options.chunkConcurrency,
        settings: { backoffStrategy: chunkRetryDelayMs },
      }),
    ];
    for (const consumer of this.consumers) consumer.on('error', options.onError);
  }

  /** Takes nothing new and waits for what runs, at most `timeoutMs`; then the connections are cut. */
  async close(timeoutMs: number): Promise<void> {
    const closing = Promise.all(this.consumers.map((consumer) => consumer.close()));
    await withDeadline(closing, timeoutMs, 'closing the consumers').catch(() => this.cut());
  }

  private async cut(): Promise<void> {
    await withDeadline(
      Promise.allSettled(this.consumers.map((consumer) => consumer.disconnect())),
      COMMAND_TIMEOUT_MS,
      'disconnecting',
    ).catch(() => undefined);
  }
}

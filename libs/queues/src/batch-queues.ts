import { InjectQueue } from '@nestjs/bullmq';
import { Inject, Injectable, type BeforeApplicationShutdown } from '@nestjs/common';
import { Queue } from 'bullmq';
import { Redis } from 'ioredis';
import {
  CHUNK_JOB,
  CHUNK_QUEUE,
  CONTROL_QUEUE,
  openRedis,
  queueOptions,
  type BullOptions,
  type ChunkPayload,
  type ControlPayload,
} from './bull';
import { withDeadline } from './deadline';

/** Provides the `BullOptions` that a `QueuesModule` was made with. */
export const BULL_OPTIONS = Symbol('BULL_OPTIONS');

export interface ChunkJob {
  /** New for each hand-over: BullMQ takes no second job with an id that it remembers. */
  jobId: string;
  payload: ChunkPayload;
}

const COMMAND_TIMEOUT_MS = 2_000;

/**
 * The producing side, by `QueuesModule` or by hand. Every command fails fast while Redis is away: what could not be queued
 * is on disk, and the runner's reconciler finds it there.
 */
@Injectable()
export class BatchQueues implements BeforeApplicationShutdown {
  constructor(
    @Inject(BULL_OPTIONS) options: BullOptions,
    @Inject(Redis) private readonly redis: Redis = openRedis(options),
    @InjectQueue(CONTROL_QUEUE) private readonly control: Queue<ControlPayload> = new Queue(CONTROL_QUEUE, queueOptions(redis, options)),
    @InjectQueue(CHUNK_QUEUE)
    private readonly chunks: Queue<ChunkPayload> = new Queue(CHUNK_QUEUE, {
      ...queueOptions(redis, options),
      defaultJobOptions: CHUNK_JOB,
    }),
  ) {
    // An `error` event that nobody listens to ends the process.
    for (const queue of [control, chunks]) queue.on('error', options.onError);
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
   * for a minute, and what is to be done is known from the manifests.
   */
  async clearChunks(): Promise<void> {
    this.requireReady();
    await this.bounded(this.chunks.obliterate({ force: true }));
  }

  /** For bull-board, read only. */
  boardQueues(): Queue[] {
    return [this.control, this.chunks];
  }

  beforeApplicationShutdown(): Promise<void> {
    return this.close();
  }

  /** Resolves within seconds, also while Redis is away. Safe to call twice. */
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

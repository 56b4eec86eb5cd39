import { InjectQueue } from '@nestjs/bullmq';
import type { TraceCarrier } from '@app/contracts';
import { detached } from '@app/telemetry';
import { Inject, Injectable, type BeforeApplicationShutdown } from '@nestjs/common';
import { Queue, QueueEventsProducer, type Job } from 'bullmq';
import { Redis } from 'ioredis';
import {
  BATCH_JOB,
  BATCH_QUEUE,
  CHUNK_JOB,
  CHUNK_QUEUE,
  FIRST_CHUNK_QUEUE,
  openRedis,
  queueOptions,
  WEBHOOK_JOB,
  WEBHOOK_QUEUE,
  type BatchPayload,
  type BullOptions,
  type ChunkPayload,
  type WebhookPayload,
} from './bull';
import { CHANGE_EVENT, ChunkEvents, type ChunkEventHandlers, type ChunkJobState } from './chunk-events';
import { isFirstChunkJob } from './chunk-job-id';
import { withDeadline } from './deadline';
import { jobTrace } from './job-trace';

/** Provides the `BullOptions` that a `QueuesModule` was made with. */
export const BULL_OPTIONS = Symbol('BULL_OPTIONS');

export interface ChunkJob {
  /** New for each hand-over: BullMQ takes no second job with an id that it remembers. */
  jobId: string;
  payload: ChunkPayload;
  /** Of the batch; absent: it is not traced. */
  trace?: TraceCarrier;
}

const COMMAND_TIMEOUT_MS = 2_000;
/** More than a fleet has chunks in Redis: it is fed a few at a time. */
const JOBS_LISTED_MAX = 10_000;

/**
 * The producing side, by `QueuesModule` or by hand. Every command fails fast while Redis is away: what could not be queued
 * is in the store, and a runner's reconciler finds it there.
 */
@Injectable()
export class BatchQueues implements BeforeApplicationShutdown {
  private readonly publisher: QueueEventsProducer;

  constructor(
    @Inject(BULL_OPTIONS) private readonly options: BullOptions,
    @Inject(Redis) private readonly redis: Redis = openRedis(options),
    @InjectQueue(BATCH_QUEUE)
    private readonly batches: Queue<BatchPayload> = new Queue(BATCH_QUEUE, {
      ...queueOptions(redis, options),
      defaultJobOptions: BATCH_JOB,
    }),
    @InjectQueue(CHUNK_QUEUE)
    private readonly chunks: Queue<ChunkPayload> = new Queue(CHUNK_QUEUE, {
      ...queueOptions(redis, options),
      defaultJobOptions: CHUNK_JOB,
    }),
    @InjectQueue(FIRST_CHUNK_QUEUE)
    private readonly firstChunks: Queue<ChunkPayload> = new Queue(FIRST_CHUNK_QUEUE, {
      ...queueOptions(redis, options),
      defaultJobOptions: CHUNK_JOB,
    }),
    @InjectQueue(WEBHOOK_QUEUE)
    private readonly webhooks: Queue<WebhookPayload> = new Queue(WEBHOOK_QUEUE, {
      ...queueOptions(redis, options),
      defaultJobOptions: WEBHOOK_JOB,
    }),
  ) {
    this.publisher = new QueueEventsProducer(CHUNK_QUEUE, queueOptions(redis, options));
    // An `error` event that nobody listens to ends the process.
    for (const queue of this.boardQueues()) queue.on('error', options.onError);
    this.publisher.on('error', options.onError);
  }

  /** False while Redis is away or still loading its data. */
  isReady(): boolean {
    return this.redis.status === 'ready';
  }

  /** Whether it answers now: one that is frozen, or behind a network that swallows everything, is connected all the same. Never rejects. */
  async answers(withinMs = COMMAND_TIMEOUT_MS): Promise<boolean> {
    if (!this.isReady()) return false;
    return withDeadline(this.redis.ping(), withinMs, 'Redis').then(
      () => true,
      () => false,
    );
  }

  /** Has some node take up these batches. One that is in the queue already stays as it is. */
  async addBatches(batchIds: string[]): Promise<void> {
    this.requireReady();
    const jobs = batchIds.map((batchId) => ({ name: 'batch', data: { batchId }, opts: { jobId: batchId } }));
    await this.bounded(this.batches.addBulk(jobs));
  }

  /** Tells every node that somebody asked to cancel, pause or resume this batch, or changed its priority. */
  async announceChange(batchId: string): Promise<void> {
    this.requireReady();
    await this.bounded(this.publisher.publishEvent({ eventName: CHANGE_EVENT, batchId }));
  }

  async addChunks(jobs: ChunkJob[]): Promise<void> {
    this.requireReady();
    for (const queue of [this.firstChunks, this.chunks]) {
      const own = jobs.filter(({ jobId }) => this.queueOf(jobId) === queue);
      const bulk = own.map(({ jobId, payload, trace }) => ({ name: 'chunk', data: payload, opts: { jobId, ...jobTrace(trace) } }));
      // Chunks of many batches go at once, whichever of them asked for it.
      if (bulk.length > 0) await detached(() => this.bounded(queue.addBulk(bulk)));
    }
  }

  /** Has some node deliver these webhooks. One that is in the queue already stays as it is. */
  async addWebhooks(names: string[]): Promise<void> {
    this.requireReady();
    await this.bounded(this.webhooks.addBulk(names.map((name) => ({ name: 'webhook', data: { name }, opts: { jobId: name } }))));
  }

  /** `gone`: finished, or Redis has never heard of it. */
  async chunkState(jobId: string): Promise<ChunkJobState | 'gone'> {
    this.requireReady();
    const state = await this.bounded(this.queueOf(jobId).getJobState(jobId));
    if (state === 'active' || state === 'delayed') return state;
    return state === 'completed' || state === 'failed' || state === 'unknown' ? 'gone' : 'waiting';
  }

  /** Why the chunk was put back the last time; null: it was not. */
  async chunkFailure(jobId: string): Promise<string | null> {
    this.requireReady();
    const job = await this.bounded(this.queueOf(jobId).getJob(jobId));
    return job?.failedReason ?? null;
  }

  /** The ids of the jobs of chunks that are not done, by state. */
  async openChunkJobs(): Promise<Record<ChunkJobState, string[]>> {
    this.requireReady();
    const list = async (state: 'wait' | 'delayed' | 'active') => {
      const queues = [this.firstChunks, this.chunks];
      return (await Promise.all(queues.map((queue) => this.bounded(queue.getRanges([state], 0, JOBS_LISTED_MAX - 1))))).flat();
    };
    const [waiting, delayed, active] = await Promise.all([list('wait'), list('delayed'), list('active')]);
    return { waiting, delayed, active };
  }

  /** Forgets waiting chunks; what runs is not touched. */
  async removeChunks(jobIds: string[]): Promise<void> {
    this.requireReady();
    for (const jobId of jobIds) await this.bounded(this.queueOf(jobId).remove(jobId));
  }

  /**
   * Gives back what a consumer of this name has in work. For a runner that starts: what the one before it had when it was killed
   * would otherwise stay locked for `LOCK_MS`. Nobody else may use the name.
   */
  async releaseJobsOf(consumerName: string): Promise<void> {
    this.requireReady();
    for (const queue of this.boardQueues()) {
      for (const job of await this.bounded(queue.getActive(0, JOBS_LISTED_MAX - 1))) {
        if (job?.processedBy === consumerName) await this.bounded(this.release(queue, job));
      }
    }
  }

  /** True for the first node that asks for this name within `forMs`. */
  async claim(name: string, forMs: number): Promise<boolean> {
    this.requireReady();
    const { prefix = '' } = queueOptions(this.redis, this.options);
    return (await this.bounded(this.redis.set(`${prefix}:claim:${name}`, '1', 'PX', forMs, 'NX'))) === 'OK';
  }

  /** What happens to chunks on any node, until it is closed. */
  listen(handlers: ChunkEventHandlers): ChunkEvents {
    return new ChunkEvents(this.redis, this.options, handlers);
  }

  /** For bull-board. */
  boardQueues(): Queue[] {
    return [this.batches, this.chunks, this.firstChunks, this.webhooks];
  }

  beforeApplicationShutdown(): Promise<void> {
    return this.close();
  }

  /** Resolves within seconds, also while Redis is away. Safe to call twice. */
  async close(): Promise<void> {
    const all = [...this.boardQueues().map((queue) => queue.close()), this.publisher.close()];
    await this.bounded(Promise.allSettled(all)).catch(() => undefined);
    this.redis.disconnect();
  }

  /** The lock's value is the token that BullMQ asks for. A job whose lock ran out meanwhile is found stalled. */
  private async release(queue: Queue, job: Job): Promise<void> {
    const token = await this.redis.get(`${queue.toKey(String(job.id))}:lock`);
    if (token !== null) await job.moveToWait(token).catch(this.options.onError);
  }

  private queueOf(jobId: string): Queue<ChunkPayload> {
    return isFirstChunkJob(jobId) ? this.firstChunks : this.chunks;
  }

  private requireReady(): void {
    if (!this.isReady()) throw new Error(`Redis is not connected (${this.redis.status})`);
  }

  private bounded<T>(command: Promise<T>): Promise<T> {
    return withDeadline(command, COMMAND_TIMEOUT_MS, 'Redis');
  }
}

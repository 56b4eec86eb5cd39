import { OnWorkerEvent, Processor, WorkerHost } from '@nestjs/bullmq';
import { Inject } from '@nestjs/common';
import {
  BULL_OPTIONS,
  CHUNK_QUEUE,
  CONSUMER_OPTIONS,
  giveBack,
  isChunkPayload,
  UnrecoverableError,
  type BullOptions,
  type ChunkPayload,
  type Job,
} from '@app/queues';
import { BatchRunner } from '../batch-runner';
import { ChunkForAnother, ChunkNotWanted } from '../chunks/batch-work';
import type { DoneChunk } from '../chunks/chunk-report';

/** A node that gives a chunk to another takes none in its place for so long, or it would take the same one again. */
const LEFT_TO_OTHERS_MS = 2_000;

/** The owner is told this often how far a chunk is. */
const TELL_MS = 1_000;

/** Takes chunks. A job that fails is brought again by BullMQ, unless nobody wants its chunk. */
@Processor(CHUNK_QUEUE, CONSUMER_OPTIONS)
export class ChunkConsumer extends WorkerHost {
  constructor(
    @Inject(BatchRunner) private readonly runner: BatchRunner,
    @Inject(BULL_OPTIONS) private readonly options: BullOptions,
  ) {
    super();
  }

  /** The value is short: it travels in the event stream to the batch's owner. Null: this node does the chunk already. */
  override async process(job: Job<ChunkPayload>, token?: string): Promise<DoneChunk | null> {
    if (!isChunkPayload(job.data)) throw new UnrecoverableError('expected {batchId, chunkIndex} but received another job');
    const stopTelling = this.tellProgress(job);
    try {
      return await this.runner.processChunk(job.data);
    } catch (error) {
      if (this.runner.isEnding) await giveBack(job, token);
      if (error instanceof ChunkForAnother) await giveBack(job, token, LEFT_TO_OTHERS_MS);
      throw error instanceof ChunkNotWanted ? new UnrecoverableError(error.message) : error;
    } finally {
      stopTelling();
    }
  }

  /** One command at a time: while Redis is away they would heap up. What is not told is only guessed worse. */
  private tellProgress(job: Job<ChunkPayload>): () => void {
    let told = -1;
    let isTelling = false;
    const tell = async (): Promise<void> => {
      const progress = this.runner.progressOf(job.data);
      if (isTelling || progress.rows === told) return;
      isTelling = true;
      await job.updateProgress(progress).catch(() => undefined);
      told = progress.rows;
      isTelling = false;
    };
    const timer = setInterval(() => void tell(), TELL_MS);
    return () => clearInterval(timer);
  }

  /** An `error` event that nobody listens to ends the process. */
  @OnWorkerEvent('error')
  onError(error: Error): void {
    this.options.onError(error);
  }
}

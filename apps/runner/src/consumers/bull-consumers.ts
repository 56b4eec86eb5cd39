import { BullRegistrar, type WorkerHost } from '@nestjs/bullmq';
import { Inject, Injectable } from '@nestjs/common';
import { withDeadline } from '@app/queues';
import type { Consumers } from '../batch-runner';
import { ChunkConsumer } from './chunk-consumer';
import { BatchConsumer } from './batch-consumer';
import { WebhookConsumer } from './webhook-consumer';
import { FirstChunkConsumer } from './first-chunk-consumer';

export interface ConsumerLimits {
  /** The name of this node's consumers. */
  nodeId: string;
  /** Chunks that are worked on at once, besides the first ones of batches. */
  chunkConcurrency: number;
}

/** Provides the `ConsumerLimits`. */
export const CONSUMER_LIMITS = Symbol('CONSUMER_LIMITS');

/** Batches that one node owns at once; the others wait for it, or for another node. */
const BATCHES_MAX = 256;
/** One receiver that is slow must not hold up the others. */
const WEBHOOKS_MAX = 16;
/** Chunks that are worked on at once beside the others, of batches of which little runs. */
const FIRST_CHUNKS_MAX = 2;
const CUT_MS = 2_000;

/** The consuming side of the queues, which reconnects by itself. May be opened again once it was closed. */
@Injectable()
export class BullConsumers implements Consumers {
  private areOpen = false;

  constructor(
    @Inject(BullRegistrar) private readonly registrar: BullRegistrar,
    @Inject(BatchConsumer) private readonly batches: BatchConsumer,
    @Inject(ChunkConsumer) private readonly chunks: ChunkConsumer,
    @Inject(WebhookConsumer) private readonly webhooks: WebhookConsumer,
    @Inject(FirstChunkConsumer) private readonly firstChunks: FirstChunkConsumer,
    @Inject(CONSUMER_LIMITS) private readonly limits: ConsumerLimits,
  ) {}

  get isOpen(): boolean {
    return this.areOpen;
  }

  /** Each time with new connections. */
  open(): void {
    this.areOpen = true;
    this.registrar.register();
    for (const worker of this.workers()) worker.opts.name = this.limits.nodeId;
    this.batches.worker.concurrency = BATCHES_MAX;
    this.chunks.worker.concurrency = this.limits.chunkConcurrency;
    this.firstChunks.worker.concurrency = FIRST_CHUNKS_MAX;
    this.webhooks.worker.concurrency = WEBHOOKS_MAX;
  }

  /** Takes nothing new and waits for what runs, at most `timeoutMs`; then the connections are cut. BullMQ alone would wait for ever. */
  async close(timeoutMs: number): Promise<void> {
    if (!this.areOpen) return;
    this.areOpen = false;
    const consumers = this.workers();
    try {
      await withDeadline(Promise.all(consumers.map((consumer) => consumer.close())), timeoutMs, 'closing the consumers');
    } catch {
      const cut = Promise.allSettled(consumers.map((consumer) => consumer.disconnect()));
      await withDeadline(cut, CUT_MS, 'disconnecting').catch(() => undefined);
    }
  }

  private workers(): WorkerHost['worker'][] {
    return [this.batches, this.chunks, this.firstChunks, this.webhooks].map(({ worker }) => worker);
  }
}

import { BullRegistrar } from '@nestjs/bullmq';
import { Inject, Injectable } from '@nestjs/common';
import { withDeadline } from '@app/queues';
import type { Consumers } from '../batch-runner';
import { ChunkConsumer } from './chunk-consumer';
import { ControlConsumer } from './control-consumer';

/** Provides how many chunks are worked on at once. */
export const CHUNK_CONCURRENCY = Symbol('CHUNK_CONCURRENCY');

const CUT_MS = 2_000;

/** The consuming side of the queues, which reconnects by itself. May be opened again once it was closed. */
@Injectable()
export class BullConsumers implements Consumers {
  private areOpen = false;

  constructor(
    @Inject(BullRegistrar) private readonly registrar: BullRegistrar,
    @Inject(ControlConsumer) private readonly control: ControlConsumer,
    @Inject(ChunkConsumer) private readonly chunks: ChunkConsumer,
    @Inject(CHUNK_CONCURRENCY) private readonly chunkConcurrency: number,
  ) {}

  get isOpen(): boolean {
    return this.areOpen;
  }

  /** Each time with new connections. */
  open(): void {
    this.areOpen = true;
    this.registrar.register();
    this.chunks.worker.concurrency = this.chunkConcurrency;
  }

  /** Takes nothing new and waits for what runs, at most `timeoutMs`; then the connections are cut. BullMQ alone would wait for ever. */
  async close(timeoutMs: number): Promise<void> {
    if (!this.areOpen) return;
    this.areOpen = false;
    const consumers = [this.control.worker, this.chunks.worker];
    try {
      await withDeadline(Promise.all(consumers.map((consumer) => consumer.close())), timeoutMs, 'closing the consumers');
    } catch {
      const cut = Promise.allSettled(consumers.map((consumer) => consumer.disconnect()));
      await withDeadline(cut, CUT_MS, 'disconnecting').catch(() => undefined);
    }
  }
}

import { setTimeout as sleep } from 'node:timers/promises';
import { QueueEvents } from 'bullmq';
import { CHUNK_QUEUE, patientConnection, queueOptions, type BullOptions } from './bull';
import type { Redis } from 'ioredis';

/** Where a chunk's job stands: nobody has it, it waits to be tried again, or some node works on it. */
export type ChunkJobState = 'waiting' | 'delayed' | 'active';

export interface ChunkEventHandlers {
  onMoved(jobId: string, state: ChunkJobState): void;
  /** A node tells how many rows of the chunk are done. */
  onRows(jobId: string, rows: unknown): void;
  /** `value` is what the job's processor answered. */
  onCompleted(jobId: string, value: unknown): void;
  /** Somebody asked to cancel this batch. */
  onCancelRequested(batchId: string): void;
}

/** Published beside BullMQ's own events. */
export const CANCEL_EVENT = 'cancelRequested';
const RESTART_MS = 1_000;

/**
 * What happens to chunks anywhere in the fleet, from one stream in Redis. Events may come twice, late or never: they are hints, and
 * the store is the truth. The connection mends itself.
 */
export class ChunkEvents {
  private readonly events: QueueEvents;
  private isClosed = false;

  constructor(redis: Redis, options: BullOptions, handlers: ChunkEventHandlers) {
    const { prefix } = queueOptions(redis, options);
    // From the oldest event that is kept: "from now on" would lose what comes between two reads.
    const settings = { prefix, connection: patientConnection(redis), autorun: false, lastEventId: '0-0' };
    this.events = new QueueEvents(CHUNK_QUEUE, settings as ConstructorParameters<typeof QueueEvents>[1]);
    this.events.on('error', options.onError);
    this.events.on('waiting', ({ jobId }) => handlers.onMoved(jobId, 'waiting'));
    this.events.on('delayed', ({ jobId }) => handlers.onMoved(jobId, 'delayed'));
    this.events.on('active', ({ jobId }) => handlers.onMoved(jobId, 'active'));
    this.events.on('progress', ({ jobId, data }) => handlers.onRows(jobId, data));
    this.events.on('completed', ({ jobId, returnvalue }) => handlers.onCompleted(jobId, returnvalue));
    (this.events as unknown as NodeJS.EventEmitter).on(CANCEL_EVENT, ({ batchId }: { batchId: string }) =>
      handlers.onCancelRequested(batchId),
    );
    void this.run(options.onError);
  }

  async close(): Promise<void> {
    this.isClosed = true;
    await this.events.close();
  }

  /** Reading ends for good with the first answer that is no broken connection, such as "LOADING" of a Redis that starts. */
  private async run(onError: (error: Error) => void): Promise<void> {
    while (!this.isClosed) {
      await this.events.run().catch(onError);
      if (!this.isClosed) await sleep(RESTART_MS);
    }
  }
}

import { setTimeout as sleep } from 'node:timers/promises';
import { QueueEvents } from 'bullmq';
import { CHUNK_QUEUE, FIRST_CHUNK_QUEUE, patientConnection, queueOptions, type BullOptions } from './bull';
import type { Redis } from 'ioredis';

/** Where a chunk's job stands: nobody has it, it waits to be tried again, or some node works on it. */
export type ChunkJobState = 'waiting' | 'delayed' | 'active';

export interface ChunkEventHandlers {
  onMoved(jobId: string, state: ChunkJobState): void;
  /** A node tells how far the chunk is. */
  onProgress(jobId: string, value: unknown): void;
  /** `value` is what the job's processor answered. */
  onCompleted(jobId: string, value: unknown): void;
  /** Nobody wanted the chunk, and its job is over. */
  onRefused(jobId: string): void;
  /** Somebody asked to cancel, pause or resume this batch, or changed its priority. */
  onChangeRequested(batchId: string): void;
}

/** Published beside BullMQ's own events. */
export const CHANGE_EVENT = 'changeRequested';
const RESTART_MS = 1_000;

/**
 * What happens to chunks anywhere in the fleet, from one stream of each queue in Redis. Events may come twice, late or never: they are
 * hints, and the store is the truth. The connections mend themselves.
 */
export class ChunkEvents {
  private readonly streams: QueueEvents[];
  private isClosed = false;

  constructor(redis: Redis, options: BullOptions, handlers: ChunkEventHandlers) {
    const { prefix } = queueOptions(redis, options);
    // From the oldest event that is kept: "from now on" would lose what comes between two reads.
    const settings = { prefix, connection: patientConnection(redis), autorun: false, lastEventId: '0-0' };
    this.streams = [CHUNK_QUEUE, FIRST_CHUNK_QUEUE].map((queue) => {
      const events = new QueueEvents(queue, settings as ConstructorParameters<typeof QueueEvents>[1]);
      events.on('error', options.onError);
      events.on('waiting', ({ jobId }) => handlers.onMoved(jobId, 'waiting'));
      events.on('delayed', ({ jobId }) => handlers.onMoved(jobId, 'delayed'));
      events.on('active', ({ jobId }) => handlers.onMoved(jobId, 'active'));
      events.on('progress', ({ jobId, data }) => handlers.onProgress(jobId, data));
      events.on('failed', ({ jobId }) => handlers.onRefused(jobId));
      events.on('completed', ({ jobId, returnvalue }) => handlers.onCompleted(jobId, returnvalue));
      (events as unknown as NodeJS.EventEmitter).on(CHANGE_EVENT, ({ batchId }: { batchId: string }) =>
        handlers.onChangeRequested(batchId),
      );
      return events;
    });
    for (const events of this.streams) void this.run(events, options.onError);
  }

  async close(): Promise<void> {
    this.isClosed = true;
    await Promise.all(this.streams.map((events) => events.close()));
  }

  /** Reading ends for good with the first answer that is no broken connection, such as "LOADING" of a Redis that starts. */
  private async run(events: QueueEvents, onError: (error: Error) => void): Promise<void> {
    while (!this.isClosed) {
      await events.run().catch(onError);
      if (!this.isClosed) await sleep(RESTART_MS);
    }
  }
}

import type { WorkerModelPlan } from './models';
import type { Lane } from './stages';

/** What runs where: written by the scheduler to `<runDir>/placement.json`, read by everyone else. */
export interface Placement {
  formatVersion: 1;
  partitions: PartitionPlan[];
  workers: WorkerPlan[];
}

export interface PartitionPlan {
  id: string;
  class: 'reserved' | 'burstable';
  cpus: number[];
  /** Of all its workers together; null: no limit. */
  memoryBytes: number | null;
}

/**
 * The workers of the other lane that share CPUs with this one; those of a live worker without a batch lane beside it, as in
 * a reserved partition, are all batch workers, with which it shares memory and caches.
 */
export function workersBeside({ lane, partitionId }: WorkerPlan, workers: readonly WorkerPlan[]): WorkerPlan[] {
  const batchWorkers = workers.filter((worker) => worker.lane === 'batch');
  const besideLive = (liveId: string): WorkerPlan[] => {
    const own = batchWorkers.filter((worker) => worker.partitionId === liveId);
    return own.length > 0 ? own : batchWorkers;
  };
  if (lane === 'realtime') return besideLive(partitionId);
  return workers.filter((live) => live.lane === 'realtime' && besideLive(live.partitionId).some((batch) => batch.partitionId === partitionId));
}

/** One worker process: the sessions of one lane on one partition. */
export interface WorkerPlan {
  /** `<partition>-<lane>`, stable across restarts. */
  id: string;
  partitionId: string;
  lane: Lane;
  /** One executor per entry, pinned to that CPU. */
  cpus: number[];
  socketPath: string;
  models: WorkerModelPlan[];
  /** Rows that may wait and run per client at once; a submission past it is refused. */
  queueItemsMax: number;
  /** Payload memory of one client's channel. */
  channelBytes: number;
}

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

/** One worker process: the sessions of one lane on one partition. */
export interface WorkerPlan {
  /** `<partition>-<lane>`, stable across restarts. */
  id: string;
  partitionId: string;
  lane: Lane;
  /** One executor per entry, pinned to that CPU. */
  cpus: number[];
  /** Where the other threads of the process may run. */
  processCpus: number[];
  /** Its share of the partition's memory; null: no limit. */
  memoryBytes: number | null;
  socketPath: string;
  models: WorkerModelPlan[];
  /** Rows that may wait and run per client at once; a submission past it is refused. */
  queueItemsMax: number;
  /** Payload memory of one client's channel. */
  channelBytes: number;
  /** The machine's idle CPUs are kept from sleeping for this long after a client's last message; 0: never. */
  awakeMs: number;
}

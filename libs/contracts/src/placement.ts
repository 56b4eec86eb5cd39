import type { WorkerModelPlan } from './models';
import type { Lane } from './stages';

/** What runs where: written by the scheduler to `<runDir>/placement.json`, read by everyone else. */
export interface Placement {
  formatVersion: 1;
  partitions: PartitionPlan[];
  workers: WorkerPlan[];
  /** Models that are not run although they are planned. */
  quarantined?: QuarantinedModel[];
}

/** A model version that killed workers of a lane again and again; no worker of the lane runs it. */
export interface QuarantinedModel {
  name: string;
  version: string;
  lane: Lane;
  /** What it did, and how it is released. */
  reason: string;
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
  socketPath: string;
  models: WorkerModelPlan[];
  /** Rows that may wait and run per client at once; a submission past it is refused. */
  queueItemsMax: number;
  /** Payload memory of one client's channel. */
  channelBytes: number;
}

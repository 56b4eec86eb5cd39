import type { GraphPlan } from './graphs';
import type { WorkerModelPlan } from './models';
import type { PlacedRelease, PlacedVersion, RepositoryMemory } from './repository';
import type { Lane } from './stages';

/** What runs where: written by the scheduler to `<runDir>/placement.json`, read by everyone else. */
export interface Placement {
  formatVersion: 1;
  partitions: PartitionPlan[];
  workers: WorkerPlan[];
  /** Models that are not run although they are planned. */
  quarantined?: QuarantinedModel[];
  /** Every model version that was found, by name and version; absent: `workers` has all that is served. */
  versions?: PlacedVersion[];
  /** Models that are made of others, by name and version; absent: there are none. */
  graphs?: GraphPlan[];
  /** Of models whose folder has a `release.yaml`, and of those for which somebody decided by command. */
  releases?: PlacedRelease[];
  /** For the next scheduler. */
  repository?: RepositoryMemory;
  /** Models that workers died of while they loaded them: workers load all others first. */
  loadLast?: ModelOfLane[];
}

export interface ModelOfLane {
  name: string;
  version: string;
  lane: Lane;
}

/** Threads of a run that a model is to have in a lane, whatever its files say; version null: all versions. */
export interface ThreadsChange {
  name: string;
  version: string | null;
  lane: Lane;
  threads: number;
}

/** A model version that killed workers of a lane again and again; no worker of the lane runs it. */
export interface QuarantinedModel extends ModelOfLane {
  /** What it did, until when it is quarantined, and how it is released. */
  reason: string;
  /** Unix milliseconds at which it is tried again. */
  untilMs: number;
  /** Length of this quarantine; the next one is twice as long. */
  periodMs: number;
  /** It killed while it was loaded, so workers do not load it. */
  isUnloaded: boolean;
}

/** What the process that sent an input to workers knows about their deaths. */
export interface BlamedInput extends ModelOfLane {
  /** That the input is to blame for and that were not told before. */
  deaths: number;
  /** False: the input was blamed for others before. */
  isNew: boolean;
  /** Inputs of the model that were answered since the last new one. */
  answered: number;
}

/** Told to the scheduler; no version, no lane: all. */
export interface ReleaseCommand {
  model: string;
  version?: string;
  lane?: Lane;
}

export interface PartitionPlan {
  id: string;
  class: 'reserved' | 'burstable';
  cpus: number[];
  /** Memory limit of all its workers together; null: no limit. */
  memoryBytes: number | null;
}

/** What one worker has of a GPU. */
export interface GpuPlan {
  /** `mig`: an instance of a device. `mps`: a device together with the other lane's worker. `whole`: a device. */
  sharing: 'mig' | 'mps' | 'whole';
  /** UUID of the device or the instance. */
  uuid: string;
  /** For people, and to tell measured costs apart, as in "NVIDIA H100 80GB HBM3 MIG 1g.10gb". */
  name: string;
  /** Most of its memory that ONNX Runtime takes; null: no limit. */
  memoryBytes: number | null;
  /** Most of the device's multiprocessors that run this worker's kernels, in percent (MPS); null: all. */
  threadPercent: number | null;
  /** ONNX Runtime with the CUDA provider; null: the library that the node has for all. */
  ortLibraryPath: string | null;
}

/**
 * The workers of the other lane that share CPUs with this one. For a live worker without a batch lane beside it, as in a
 * reserved partition, these are all batch workers: it shares memory and caches with them.
 */
export function workersBeside({ lane, partitionId }: WorkerPlan, workers: readonly WorkerPlan[]): WorkerPlan[] {
  const batchWorkers = workers.filter((worker) => worker.lane === 'batch');
  const besideLive = (liveId: string): WorkerPlan[] => {
    const own = batchWorkers.filter((worker) => worker.partitionId === liveId);
    return own.length > 0 ? own : batchWorkers;
  };
  if (lane === 'realtime') return besideLive(partitionId);
  return workers.filter(
    (live) => live.lane === 'realtime' && besideLive(live.partitionId).some((batch) => batch.partitionId === partitionId),
  );
}

/** One worker process: the sessions of one lane on one partition. */
export interface WorkerPlan {
  /** `<partition>-<lane>`, stable across restarts. */
  id: string;
  partitionId: string;
  lane: Lane;
  /** One executor per entry, pinned to that CPU. One entry in a partition with a GPU: runs of one device take turns. */
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
  /** Null: its models run on the CPUs. */
  gpu: GpuPlan | null;
  /** Why models that ask for a GPU are refused; null where there is a GPU, or no such model. */
  gpuRefusal: string | null;
}

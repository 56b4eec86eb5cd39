import type { CostGrid, ExecutorStatus, IsolationTool, ModelReport, WorkerPlan } from '@app/contracts';
import { readCpuQuota } from '@app/system';
import {
  RUN_ROWS_BOUNDS,
  COST_RATIO_BOUNDS,
  FORMATION_SECONDS_BOUNDS,
  ITEM_STATUSES,
  type ItemStatus,
  loadAddon,
  type NativeModelStats,
  type NativeProbe,
  type NativeServiceTimes,
  type NativeWorkerHandle,
} from './addon';
import { cudaOf } from './cuda';
import { bundledRuntime } from './runtime';
import { type ModelRules, type ModelSet, WorkerModels } from './worker-models';

const TELL_MS = 1000;

export interface StartWorkerOptions extends Omit<ModelSet, 'models' | 'gpuRefusal'>, Pick<ModelRules, 'hasFilesOf' | 'needBytesOf'> {
  plan: Omit<WorkerPlan, 'processCpus' | 'memoryBytes'> & Partial<Pick<WorkerPlan, 'memoryBytes'>>;
  /** Where the plan's GPU names none; null: the library that comes with onnxruntime-node. */
  ortLibraryPath: string | null;
  /** Where it shows that it lives and what it runs; null: nowhere. */
  heartbeatFd?: number | null;
  /** Shared pages by which the lanes are kept apart at run time: the worker's own, and those of the workers of the other lane beside it. */
  controlPages?: { own: string; others: string[] };
}

/** Counts of all revisions of one model version since the worker's start; also while it has none of them. */
export interface WorkerModelStats {
  name: string;
  version: string;
  rows: number;
  realTokens: number;
  /** Added to rows to make them as long as the longest of their run. */
  paddingTokens: number;
  runSeconds: number;
  /** Runs with at most `rowsMax` rows; cumulative, the last one without a bound. */
  runRows: { rowsMax: number | null; runs: number }[];
  /** Runs whose measured cost was at most `ratioMax` times the predicted; cumulative, the last one without a bound. */
  costRatios: { ratioMax: number | null; runs: number }[];
  /** Sum of those ratios. */
  costRatioSum: number;
  /** Runs that were chosen in at most `secondsMax`; cumulative, the last one without a bound. */
  formations: { secondsMax: number | null; runs: number }[];
  formationSeconds: number;
  /** Items that joined an equal one in flight. */
  duplicates: number;
  /** Items by how they were answered. */
  items: Record<ItemStatus, number>;
  queueItems: number;
  queueAgeSeconds: number;
}

/** Serving from the start on; models become ready one by one. Keeps the process running until it is closed. */
export interface WorkerHandle {
  models(): ModelReport[];
  /**
   * From now on the worker has these models. What it has already stays as it is, what it has not is loaded, and what is not
   * among them takes no new items, answers those it has, and is freed. Throws when a plan does not hold together.
   */
  setModels(set: ModelSet): void;
  /** Those that are not among its models any more but take memory still. */
  leavingModels(): ModelReport[];
  stats(): WorkerModelStats[];
  executors(): ExecutorStatus[];
  /** Whether idle CPUs are kept awake between live requests. */
  idleLatency(): IsolationTool;
  /** CPU time of the loops that keep them awake, in seconds; part of the process's. */
  awakeSeconds(): number;
  /** How long live items took; empty without `controlPages`. */
  service(): NativeServiceTimes[];
  /**
   * Nanoseconds of CPU time of one run with made-up rows, made when no item waits.
   * Rejects with why it cannot be measured: the run failed, the model is not ready, is gone or lacks such an axis, the worker stops.
   */
  measure(probe: NativeProbe): Promise<number>;
  /** Takes effect with the next run. Throws when the grid does not hold together, or the revision is gone. */
  setCostTable(revision: number, grid: CostGrid): void;
  /** Refuses new items and waits for those it has; false when that took longer than `timeoutMs`. Channels stay open. */
  drain(timeoutMs: number): Promise<boolean>;
  /** Answers what is left with `unavailable`, ends what runs and closes the channels. Idempotent. */
  close(): Promise<void>;
}

/**
 * Starts the native worker of a plan in this process. Throws when the runtime cannot be used or the socket not be
 * opened; a model that cannot be loaded is reported by `models()`.
 */
export function startWorker({
  plan,
  ortLibraryPath,
  quarantined,
  loadLast,
  hasFilesOf,
  needBytesOf,
  heartbeatFd = null,
  controlPages,
}: StartWorkerOptions): WorkerHandle {
  if (plan.cpus.length === 0) throw new Error(`worker ${plan.id}: expected at least one CPU but received none`);
  const addon = loadAddon();
  const { id, lane, cpus, socketPath, queueItemsMax, awakeMs, models, gpu, gpuRefusal } = plan;
  const wanted = new WorkerModels({ lane, hasFilesOf, needBytesOf });
  const handle: NativeWorkerHandle = addon.workerStart({
    id,
    lane,
    cpus,
    socketPath,
    queueItemsMax,
    awakeMs,
    loopRefusal: readCpuQuota() === null ? null : 'they would use up the CPU quota of the cgroup',
    heartbeatFd,
    controlPagePath: controlPages?.own ?? null,
    otherControlPagePaths: controlPages?.others ?? [],
    models: wanted.first({ models, gpuRefusal, quarantined, loadLast }),
    memoryBytes: plan.memoryBytes ?? 0,
    confirmsLoads: hasFilesOf !== undefined,
    ortLibraryPath: gpu?.ortLibraryPath ?? ortLibraryPath ?? bundledRuntime(),
    // Models that come later share what is left of its memory.
    cuda: gpu === null ? null : cudaOf(gpu, lane, models.filter(({ device }) => device === 'gpu').length),
  });
  // It also keeps the process running: native threads do not count for node's event loop.
  const telling = setInterval(() => addon.workerTellChanges(handle), TELL_MS);
  wanted.confirmLoads(handle);
  return {
    models: () => JSON.parse(addon.workerModels(handle)) as ModelReport[],
    leavingModels: () => wanted.leaving(handle),
    setModels: (set) => wanted.set(handle, set),
    stats: () => addon.workerStats(handle).map(toStats),
    executors: () => addon.workerIsolation(handle).map((isolation, i) => ({ cpu: cpus[i] ?? -1, isolation })),
    idleLatency: () => addon.workerIdleLatency(handle),
    awakeSeconds: () => addon.workerAwakeSeconds(handle),
    service: () => (lane === 'realtime' && controlPages ? addon.workerService(handle) : []),
    measure: (probe) => addon.workerMeasure(handle, probe),
    setCostTable: (revision, grid) => addon.workerSetCostTable(handle, { revision, grid }),
    drain: (timeoutMs) => addon.workerDrain(handle, timeoutMs),
    close: async () => {
      await addon.workerClose(handle);
      clearInterval(telling);
      wanted.stop();
    },
  };
}

function toStats(native: NativeModelStats): WorkerModelStats {
  const { name, version, rows, realTokens, paddedTokens, runSeconds, queueItems, queueAgeSeconds } = native;
  return {
    name,
    version,
    rows,
    realTokens,
    runSeconds,
    queueItems,
    queueAgeSeconds,
    paddingTokens: paddedTokens - realTokens,
    runRows: cumulated(native.runRows).map((runs, i) => ({ rowsMax: RUN_ROWS_BOUNDS[i] ?? null, runs })),
    costRatios: cumulated(native.costRatios).map((runs, i) => ({ ratioMax: COST_RATIO_BOUNDS[i] ?? null, runs })),
    costRatioSum: native.costRatioSum,
    formations: cumulated(native.formations).map((runs, i) => ({ secondsMax: FORMATION_SECONDS_BOUNDS[i] ?? null, runs })),
    formationSeconds: native.formationSeconds,
    duplicates: native.duplicates,
    items: Object.fromEntries(ITEM_STATUSES.map((status, i) => [status, native.items[i] ?? 0])) as Record<ItemStatus, number>,
  };
}

function cumulated(counts: number[]): number[] {
  let sum = 0;
  return counts.map((count) => (sum += count));
}

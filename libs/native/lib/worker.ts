import type { ExecutorStatus, ModelReport, WorkerPlan } from '@app/contracts';
import { BATCH_ROWS_BOUNDS, ITEM_STATUSES, type ItemStatus, loadAddon, type NativeModelStats, type NativeWorkerHandle } from './addon';
import { bundledRuntime } from './runtime';

const KEEP_ALIVE_MS = 3_600_000;

export interface StartWorkerOptions {
  plan: WorkerPlan;
  /** Null: the library that comes with onnxruntime-node. */
  ortLibraryPath: string | null;
}

/** Counts of one model since the worker's start. */
export interface WorkerModelStats {
  name: string;
  version: string;
  rows: number;
  realTokens: number;
  /** Added to rows to make them as long as the longest of their run. */
  paddingTokens: number;
  runSeconds: number;
  /** Runs with at most `rowsMax` rows; cumulative, the last one without a bound. */
  batchRows: { rowsMax: number | null; batches: number }[];
  /** Items by how they were answered. */
  items: Record<ItemStatus, number>;
  queueItems: number;
  queueAgeSeconds: number;
}

/** Serving from the start on; models become ready one by one. Keeps the process running until it is closed. */
export interface WorkerHandle {
  models(): ModelReport[];
  stats(): WorkerModelStats[];
  executors(): ExecutorStatus[];
  /** Refuses new items and waits for those it has; false when that took longer than `timeoutMs`. Channels stay open. */
  drain(timeoutMs: number): Promise<boolean>;
  /** Answers what is left with `unavailable`, ends what runs and closes the channels. Idempotent. */
  close(): Promise<void>;
}

/**
 * Starts the native worker of a plan in this process. Throws when the runtime cannot be used or the socket not be
 * opened; a model that cannot be loaded is reported by `models()`.
 */
export function startWorker({ plan, ortLibraryPath }: StartWorkerOptions): WorkerHandle {
  if (plan.cpus.length === 0) throw new Error(`worker ${plan.id}: expected at least one CPU but received none`);
  const addon = loadAddon();
  const { id, lane, cpus, socketPath, queueItemsMax, models } = plan;
  const handle: NativeWorkerHandle = addon.workerStart({
    ...{ id, lane, cpus, socketPath, queueItemsMax, models },
    ortLibraryPath: ortLibraryPath ?? bundledRuntime(),
  });
  // Native threads do not count for node's event loop.
  const keepAlive = setInterval(() => undefined, KEEP_ALIVE_MS);
  return {
    models: () => JSON.parse(addon.workerModels(handle)) as ModelReport[],
    stats: () => addon.workerStats(handle).map(toStats),
    executors: () => addon.workerIsolation(handle).map((isolation, i) => ({ cpu: cpus[i] ?? -1, isolation })),
    drain: (timeoutMs) => addon.workerDrain(handle, timeoutMs),
    close: async () => {
      await addon.workerClose(handle);
      clearInterval(keepAlive);
    },
  };
}

function toStats(native: NativeModelStats): WorkerModelStats {
  const { name, version, rows, realTokens, paddedTokens, runSeconds, queueItems, queueAgeSeconds } = native;
  let batches = 0;
  return {
    ...{ name, version, rows, realTokens, runSeconds, queueItems, queueAgeSeconds },
    paddingTokens: paddedTokens - realTokens,
    batchRows: native.batchRows.map((count, i) => ({ rowsMax: BATCH_ROWS_BOUNDS[i] ?? null, batches: (batches += count) })),
    items: Object.fromEntries(ITEM_STATUSES.map((status, i) => [status, native.items[i] ?? 0])) as Record<ItemStatus, number>,
  };
}

import type { Lane } from './stages';
import type { ModelSignature } from './tensors';

export const TASKS = [
  'embedding',
  'sparse',
  'multi-vector',
  'sequence-classification',
  'token-classification',
  'text-pair-scoring',
  'tensor',
] as const;
export type Task = (typeof TASKS)[number];

export const DEVICES = ['cpu', 'gpu'] as const;
export type Device = (typeof DEVICES)[number];

/**
 * Whether rows of several requests may share a run. `auto`: when it is proven that rows do not change each other's answers;
 * `always`: the owner says so, without proof; `never`: every request runs alone.
 */
export const MERGE_ROWS = ['auto', 'never', 'always'] as const;
export type MergeRows = (typeof MERGE_ROWS)[number];

/** Threads of one run: as many as a bit set of the native queue holds (libs/native/src/run/teams.h). */
export const EXECUTOR_THREADS_MAX = 64;

/** How many runs of so many threads there can be at once on so many executors: each takes neighbours, and what is left over none. */
export const runsAtOnce = (executors: number, executorThreads: number): number => Math.floor(executors / executorThreads);

/** What a worker needs to load and coalesce one model version; part of the placement. */
export interface WorkerModelPlan {
  name: string;
  version: string;
  /**
   * Names one set of files of a model version: other files get another number, and no number is used again. Items name the
   * model that they are for by it.
   */
  revision: number;
  /** Of these files, as `RepositoryEntry.fingerprint`: who reads other files does not have this revision. */
  fingerprint: string;
  modelPath: string;
  /** `model.yaml: device`; a model for a GPU is refused where there is none. */
  device: Device;
  /** Name of the axis to stack rows over when the graph does not tell (`model.yaml: axes.batch`). */
  batchAxisName: string | null;
  /** Names of the axes to pad, in order (`model.yaml: axes.sequence`); empty: inferred from the graph. */
  sequenceAxisNames: string[];
  /** Names of dimensions that have none in the graph, by input (`model.yaml: axes.inputs`); null: none here either. */
  inputAxisNames: Record<string, (string | null)[]>;
  /** Value written into the padded part, by input name; inputs not named are padded with 0. */
  padValues: Record<string, number>;
  /** `model.yaml: paddingIsSafe`; null: safe exactly when the graph has a mask input. */
  paddingIsSafe: boolean | null;
  /** `model.yaml: mergeRows`. */
  mergeRows: MergeRows;
  /** Limits of one run. */
  runRowsMax: number;
  runTokensMax: number;
  /** A run longer than this is ended and its rows fail. */
  runTimeoutMs: number;
  /** A run far past its predicted cost is ended as well; false where `model.yaml` says how long runs may take. */
  endsByCost: boolean;
  /** Equal requests in flight run once; false where equal inputs may give different outputs (`model.yaml: deduplicate`). */
  deduplicate: boolean;
  /** Executors whose CPUs one run takes (`executorThreads` of `model.yaml`, else of the lane). */
  executorThreads: number;
  /** Goal for the 99th percentile of live answers, for which shared runs and the batch lane are limited (`model.yaml: realtime.sloMs`); null: none. */
  sloMs: number | null;
  /** Longest row in tokens that callers can send; null: not known. Says how far costs are measured. */
  rowTokensMax: number | null;
}

export const MODEL_STATES = ['loading', 'ready', 'failed'] as const;
export type ModelState = (typeof MODEL_STATES)[number];

/**
 * What runs of one model cost: `runNs[i][j]` ns for `rows[j]` rows of `lengths[i]` tokens (the sum over two sequence axes;
 * 1 where there is none). Both lists ascend, `rows` starts with 1. 0: not measured; the first of each length is.
 */
export interface CostGrid {
  lengths: number[];
  rows: number[];
  runNs: number[][];
}

/** What a run costs, divided by what the table says; `high` is exceeded by one run in twenty. */
export interface CostRatio {
  median: number;
  high: number;
}

export interface ModelCost {
  /** Null: nothing was measured yet, the built-in analytic values hold. */
  grid: CostGrid | null;
  ratio: CostRatio;
}

/** What a worker says about one model version it was told to load. */
export interface ModelReport {
  name: string;
  version: string;
  /** As `WorkerModelPlan.revision`. */
  revision: number;
  state: ModelState;
  /** Why it cannot be served, when `failed`. */
  reason: string | null;
  /** Null until `ready`. */
  signature: ModelSignature | null;
  /** Null until `ready`. */
  cost: ModelCost | null;
  /** Where other nodes run it or steps of it: SHA-256 over the files that they have. Absent: all is here, or not known yet. */
  remoteFiles?: string;
}

/**
 * What a worker tells its clients when they connect and after every change, as JSON. `models` keeps its order for as
 * long as the worker lives: clients name a model by its position.
 */
export interface WorkerReport {
  workerId: string;
  lane: Lane;
  models: ModelReport[];
}

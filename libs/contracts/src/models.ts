import type { Lane } from './stages';
import type { ModelSignature } from './tensors';

export const TASKS = ['embedding', 'sequence-classification', 'token-classification', 'text-pair-scoring', 'tensor'] as const;
export type Task = (typeof TASKS)[number];

/** What a worker needs to load and coalesce one model version; part of the placement. */
export interface WorkerModelPlan {
  name: string;
  version: string;
  modelPath: string;
  /** Name of the axis to stack rows over when the graph does not tell (`model.yaml: axes.batch`). */
  batchAxisName: string | null;
  /** Names of the axes to pad, in order (`model.yaml: axes.sequence`); empty: inferred from the graph. */
  sequenceAxisNames: string[];
  /** Value written into the padded part, by input name; inputs not named are padded with 0. */
  padValues: Record<string, number>;
  /** `model.yaml: paddingIsSafe`; null: safe exactly when the graph has a mask input. */
  paddingIsSafe: boolean | null;
  /** `model.yaml: batchInvariant: true` runs every request alone. */
  batchInvariant: boolean;
  /** Limits of one run. */
  batchRowsMax: number;
  batchTokensMax: number;
  /** A run longer than this is ended and its rows fail. */
  runTimeoutMs: number;
}

export type ModelState = 'loading' | 'ready' | 'failed';

/** What a worker says about one model version it was told to load. */
export interface ModelReport {
  name: string;
  version: string;
  state: ModelState;
  /** Why it cannot be served, when `failed`. */
  reason: string | null;
  /** Null until `ready`. */
  signature: ModelSignature | null;
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

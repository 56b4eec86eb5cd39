import type { InterleaveError } from './errors';
import type { ModelReport } from './models';
import type { Lane } from './stages';
import type { Tensor } from './tensors';

/**
 * The unit that is queued and coalesced: inputs whose batch dimension is one row (text) or the caller's whole array
 * (raw tensors). Its rows are always run together.
 */
export interface InferenceItem {
  inputs: Tensor[];
  /** Names of the outputs wanted; null: all. */
  outputs: string[] | null;
}

export interface ItemTiming {
  /** From enqueue in the worker to the start of the run. */
  queueUs: number;
  runUs: number;
  /** Rows of the run it was in, its own included. */
  runRows: number;
  /**
   * When the run began, on the monotonic clock of the machine: the same for all items of one run, but those that joined it under way.
   * 0: it did not run now.
   */
  startedNs: number;
  /** Of a graph: how long the item was in each step, in their order. */
  steps?: readonly StepTiming[];
}

/** `step` as `stepName` gives it. */
export interface StepTiming {
  step: string;
  us: number;
}

export interface ItemResult {
  outputs: Tensor[];
  timing: ItemTiming;
}

/** Longest time for a live answer, whoever sets it: a caller, a model, the node. */
export const TIMEOUT_MS_MAX = 3_600_000;

/** Whose request it is, and what part of the executors' time the tenant gets when all are taken. */
export interface TenantShare {
  readonly tenant: string;
  /** Relative to other tenants'; more than 0. */
  readonly weight: number;
}

export interface InferenceRequest {
  model: string;
  /** Null: the newest version that is ready. */
  version: string | null;
  /** The revision that it was prepared for; default: the newest that is ready of the version. */
  revision?: number;
  /** As `ModelReport.remoteFiles`, of the models that it was prepared for; null or absent: whichever other nodes have. */
  remoteFiles?: string | null;
  /** Admitted or refused as a whole; results come in the same order. */
  items: InferenceItem[];
  /** Time left for the answer, from now; null: no deadline (batch lane). */
  timeoutMs: number | null;
  /** 0 default, 1 highest, larger is lower. */
  priority: number;
  /** Aborting takes items that still wait out of the queue. */
  signal: CancelSignal | null;
  /** True: no item of it shares a run with another one, so that its answer depends on its own content only. Default false. */
  runAlone?: boolean;
  /** Length of the body that it came in, so that the cost of others can be predicted from theirs; default: not known. */
  bodyBytes?: number;
  /** Default: it belongs to no tenant and waits with all others. */
  share?: TenantShare;
  /** Told the executor time of each item that ran, in ns; also when it ends after the request was answered. */
  onRan?: (executorNs: number) => void;
}

/** What is known of a request before its body is read. */
export interface UnreadRequest {
  /** Null: not known yet. */
  model: string | null;
  version: string | null;
  /** As `InferenceRequest.revision`. */
  revision?: number;
  timeoutMs: number;
  /** Announced; null: not. */
  bodyBytes: number | null;
  /** Predicted work of requests that came before and have not been handed over yet, in ns. */
  aheadNs: number;
  /** Predicted items of these requests. */
  itemsAhead: number;
  /** As `InferenceRequest.share`. */
  share?: TenantShare;
}

/** The part of an AbortSignal that is needed here; a whole one costs a live request 20 us. */
export interface CancelSignal {
  readonly aborted: boolean;
  addEventListener(type: 'abort', listener: () => void, options?: { once: boolean }): void;
  removeEventListener(type: 'abort', listener: () => void): void;
}

/**
 * Runs items on the workers of one lane. Implemented by `@app/worker-pool` (`WorkerPool`).
 * `infer` never rejects for one bad item: each item has a result or an error of its own. It rejects (with an
 * `InterleaveError`) when the request as a whole is refused: unknown model, full, no worker. What was prepared for a revision
 * that no worker has any more ends with `RevisionGone`, either way.
 */
export interface InferenceBackend {
  readonly lane: Lane;
  /** What the lane's workers say about their models now; the last word of a worker that is down stays. */
  models(): ModelReport[];
  /** Called after every change of `models()`; returns the way to unsubscribe. */
  onModelsChanged(listener: () => void): () => void;
  infer(request: InferenceRequest): Promise<(ItemResult | InterleaveError)[]>;
  /**
   * The look before a body is read: throws `overloaded` when a request like this one cannot be expected to be answered
   * within its time. Returns its predicted work in ns, to count it for those that come after; 0: not known.
   */
  checkAhead(request: UnreadRequest): number;
  /** Executor time that the items are predicted to take, in ns; 0: not known. */
  predictedNs(request: Pick<InferenceRequest, 'model' | 'version' | 'revision' | 'items'>): number;
  /** Live items that were admitted and are not answered yet, handed to workers or not. */
  admittedItems(): number;
  /** Items handed to workers and not yet answered. */
  inFlightItems(): number;
  /** Predicted time until the executors have done what was admitted, in ms; items whose cost is not known count little or nothing. */
  backlogMs(): number;
  close(): Promise<void>;
}

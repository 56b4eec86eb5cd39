import type { BatchStatus } from './batches';
import type { BreakerStatus } from './breakers';
import type { FleetView } from './fleet';
import type { BatchControlState, GuardStatus, InflationStatus } from './lane-control';
import { HISTORY_MS, type HistoryPoint, type NodeHistory } from './node-history';
import type { CostGrid, ModelState } from './models';
import type { GpuPlan, PartitionPlan } from './placement';
import type { PreemptionProof } from './preemption';
import type { ProcessState } from './process-status';
import type { ModelComparison } from './releases';
import type { PlacedVersion } from './repository';
import type { Lane } from './stages';
import type { CalibrationState, IsolationTool } from './worker-status';

/**
 * One node as an operator sees it, at one moment. Null stands for what is not known now: its process does not answer, or too little
 * happened. Shares are from 0 to 1. Rates and quantiles are of the last 10 s where nothing else is said, shares of the last minute.
 */
export interface NodeView {
  /** Unix milliseconds. */
  atMs: number;
  /** Of the product. */
  version: string;
  node: NodeFacts;
  verdict: Verdict;
  lanes: LaneView[];
  inflation: InflationStatus[];
  /** The newest last; at most 20, of the last 15 minutes. What repeats is one. */
  changes: NodeChange[];
  /** Online CPUs; at most 1 024. */
  cpus: CpuView[];
  gpus: GpuView[];
  isolation: IsolationView[];
  workers: WorkerView[];
  /** Those that the scheduler looks after and are no workers, and the scheduler itself. */
  processes: ProcessView[];
  /** By name and version; at most 256. */
  models: ModelView[];
  /** Measured costs of those models, where there are any. */
  costTables: CostTable[];
  /** Those that this node owns and that are not over, and what the whole lane does; at most 100. */
  batches: ActiveBatchView[];
  batchLane: BatchLaneView;
  frontDoor: FrontDoorView | null;
  /** Of the API process that answers; null: it does not answer. */
  breakers: BreakerStatus[] | null;
  /** Null: the node is alone, or nothing is known of the others. */
  fleet: FleetView | null;
  /** The newest last; at most 200. */
  events: NodeEvent[];
  /** What was left out of the lists above to keep within their limits. */
  cut: { models: number; cpus: number; batches: number };
}

export interface NodeFacts {
  id: string;
  /** Since its scheduler started. */
  uptimeSeconds: number;
  /** Why it is not ready for live requests; null when it is. Says so too where the API does not answer. */
  notReady: string | null;
  /** Why MODELS_DIR could not be looked at; null: it could. */
  folderProblem: string | null;
  /** Null while the runner does not answer. */
  redisIsReady: boolean | null;
  /** Whether batches give way to live requests, measured at the start. */
  preemption: Pick<PreemptionProof, 'verdict' | 'reason'>;
  /**
   * Of the file system with the least free share, of those of the data directory and of the files of batches; null: none can be asked.
   * `hasBatchFiles`: files of batches are on it, so deleting them helps.
   */
  disk: { freeBytes: number; sizeBytes: number; hasBatchFiles: boolean } | null;
  /** How late the event loop of the API was, 99th percentile. */
  eventLoopDelayMs: number | null;
}

export const VERDICT_LEVELS = ['ok', 'watch', 'bad'] as const;
/** `ok`: nothing to do. `watch`: look at it today. `bad`: callers notice, or will soon. */
export type VerdictLevel = (typeof VERDICT_LEVELS)[number];

/** How the node is, in words. */
export interface Verdict {
  level: VerdictLevel;
  /** One or two short sentences, the worst first. */
  text: string;
  /** All that is not ok, the worst first, and how the lanes do; each with what to do, where there is something. */
  details: VerdictDetail[];
}

export interface VerdictDetail {
  level: VerdictLevel;
  text: string;
  /** What to do; null: nothing. */
  advice: string | null;
}

export interface LaneView {
  lane: Lane;
  rowsPerSecond: number | null;
  rowsPerRun: number | null;
  /**
   * Live requests only, as the next five: 0 and null in the batch lane but for those of tier `flex`. Null, as `minute` and `goal`,
   * while the API does not answer.
   */
  requestsPerSecond: number | null;
  p50Ms: number | null;
  p95Ms: number | null;
  p99Ms: number | null;
  /** Requests answered by 429, 503 or 504: the node had no room or no worker, or was too late. */
  refusedPerSecond: number | null;
  /** Other errors, of which most are the caller's. */
  errorsPerSecond: number | null;
  /** Items that wait in the workers. */
  queueItems: number;
  /**
   * Predicted time until what waits and runs now is done; of the batch lane until the last batch that this node owns ends, without those
   * that are paused.
   */
  queueMs: number | null;
  /** There are batches without a prediction beside those of `queueMs`: it may take longer. */
  queueMsIsLeast: boolean;
  /** Share of the tokens run that was padding. */
  paddingShare: number | null;
  /** Over the last minute: what the verdict is made of. `overShare`: of those refused, whose tenant was over its own share. */
  minute: { requests: number; p99Ms: number | null; refused: number; overShare: number } | null;
  /** Of the model that is nearest to its goal, or furthest past it, over the last minute; null: no goal, or too few answers. */
  goal: { model: string; goalMs: number; p99Ms: number } | null;
}

export interface NodeChange {
  atMs: number;
  level: VerdictLevel;
  text: string;
  /** How often in these 15 minutes. */
  count: number;
  /** Of the last one. */
  eventId: number;
}

/** How the last minute of a CPU divides; they add up to 1. `system`: all that no executor did, the kernel and other programs too. */
export interface CpuShares {
  live: number;
  batch: number;
  system: number;
  idle: number;
}

export interface CpuView {
  cpu: number;
  /** Package. */
  socket: number;
  numaNode: number;
  /** Lowest CPU of its core. */
  core: number;
  /** Its place among the CPUs of its core: 0, 1 … */
  thread: number;
  /** Null: it is in no partition, as what the operator keeps for others. */
  partition: string | null;
  class: PartitionPlan['class'] | null;
  /** Null: the kernel does not tell, or it was just started. */
  shares: CpuShares | null;
  /** Ids of the workers that have an executor pinned to it. */
  workers: string[];
}

/** What keeps a worker, or the runner, apart from the others. */
export interface IsolationView {
  process: string;
  /** Null: the runner. */
  lane: Lane | null;
  /** Tools of the process as a whole. */
  tools: IsolationTool[];
  /** Tools of its executors; those that have the same ones are together. Empty until they have started. */
  executors: { cpus: number[]; tools: IsolationTool[] }[];
}

/** A GPU, or an instance of one, as far as workers have it. */
export interface GpuView {
  uuid: string;
  name: string;
  parts: (Pick<GpuPlan, 'sharing' | 'memoryBytes' | 'threadPercent'> & {
    worker: string;
    lane: Lane;
    /** Share of the last minute in which its executor was in the runtime; null: not known. */
    busyShare: number | null;
  })[];
}

export interface WorkerView {
  id: string;
  lane: Lane;
  partition: string;
  cpus: number[];
  pid: number | null;
  /** As the worker says, else as the scheduler does. `silent`: it is `ready`, and did not answer twice in a row. */
  state: ProcessState | 'serving' | 'silent';
  restarts: number;
  /** Why it last ended; null while it never did. */
  reason: string | null;
  queueItems: number | null;
  /** Age of the oldest item that waits. */
  queueAgeSeconds: number | null;
  memory: { residentBytes: number; limitBytes: number | null } | null;
}

export interface ProcessView {
  id: string;
  pid: number | null;
  state: ProcessState;
  restarts: number;
  /** Why it last ended; null while it never did. */
  reason: string | null;
  residentBytes: number | null;
}

export interface ModelView {
  name: string;
  version: string;
  /** `quarantined`: it killed workers, and is out of service in a lane. */
  state: PlacedVersion['state'] | 'quarantined';
  /** One plain sentence; null where all is well. */
  problem: string | null;
  /** The whole message, with the words of the tool that failed; null: `problem` says it all. */
  rawProblem: string | null;
  /** Labels that name this version, such as `stable`. */
  labels: string[];
  canaryPercent: number | null;
  mirrorPercent: number | null;
  /** Against the stable version; null: nothing was compared. */
  comparison: ModelComparison | null;
  /** What was last decided about it; null: nothing that the scheduler remembers. */
  decision: { atMs: number; text: string } | null;
  /** `interleave optimize` made it; null: it did not. */
  variant: { kind: string; madeFrom: string; speedup: number | null } | null;
  /** Part of the time of all executors, over the last minute. */
  timeShare: number | null;
  /** Goal for the p99 of its live answers. */
  goalMs: number | null;
  lanes: ModelLaneView[];
}

/** What one lane does with a model; over the last minute. */
export interface ModelLaneView {
  lane: Lane;
  state: ModelState;
  rowsPerSecond: number | null;
  /** Of live requests, which are counted by model; null also where another version of it answered some. */
  p99Ms: number | null;
  paddingShare: number | null;
  /** Share of the items that were equal to one in flight and ran once with it. */
  duplicateShare: number | null;
  queueItems: number;
  /**
   * Measured cost of runs ÷ predicted: mean, and what 95 % of the runs do not exceed; null: no runs. `p95` null: it is above the largest
   * bound that runs are counted by. A few runs far off can lift the mean above it.
   */
  costRatio: { mean: number; p95: number | null } | null;
  calibration: CalibrationState | null;
  /** Whether rows of several requests share runs, or why not; null until it is ready. */
  merging: string | null;
}

/** What runs of a model cost in one lane, as far as it was measured. */
export interface CostTable {
  model: string;
  version: string;
  lane: Lane;
  grid: CostGrid;
}

export interface ActiveBatchView {
  id: string;
  status: BatchStatus;
  model: string | null;
  endpoint: string | null;
  total: number;
  completed: number;
  failed: number;
  runningChunks: number;
  rowsPerSecond: number | null;
  secondsLeft: { expected: number; low: number; high: number } | null;
  /** Why it does not go on; null: it does. */
  paused: string | null;
}

export interface BatchLaneView {
  /** batch ÷ (batch + idle), over the CPUs of the batch workers in the last minute; null: not known. */
  idleShareUsed: number | null;
  rowsPerSecond: number | null;
  /** The hardest limit of its workers now; null: no batch worker is limited by this scheduler. */
  limit: BatchControlState | null;
  executors: { allowed: number; all: number };
  /** Why it was last changed; null: it never was. */
  reason: string | null;
  /** A one-second slot without batch runs is under way, to see what the lane costs. */
  isHeldOff: boolean;
  guards: GuardStatus[];
  chunks: { running: number; waiting: number } | null;
}

/** Who comes in, and by which door. Counted since the API process started, but for rates. */
export interface FrontDoorView {
  /** Those with the most executor time first; at most 100. */
  tenants: {
    tenant: string;
    /** Executor milliseconds per second; null: no limit. */
    shareMsPerSecond: number | null;
    usedMsPerSecond: number | null;
    /** Requests that wait for the live executors or run there. */
    inFlight: number;
    refused: number;
  }[];
  tiers: { tier: string; requests: number; requestsPerSecond: number | null }[];
  grpc: { method: string; open: number; calls: { status: string; calls: number }[] }[];
  /** Items, of models that keep answers. */
  cache: { bytes: number; models: { model: string; hits: number; misses: number }[] };
  /** `ending`: within 14 days. */
  keys: { valid: number; ending: number; expired: number; requestsWithout: number };
}

export const NODE_EVENT_KINDS = [
  'node',
  'restart',
  'fallback',
  'control',
  'quarantine',
  'release',
  'model',
  'redis',
  'batch',
  'fleet',
  'disk',
  'settings',
] as const;
export type NodeEventKind = (typeof NODE_EVENT_KINDS)[number];

/** What happened, in plain words. */
export interface NodeEvent {
  /** Ascends, over restarts of the scheduler too. */
  id: number;
  /** Unix milliseconds. */
  atMs: number;
  kind: NodeEventKind;
  level: VerdictLevel;
  /** What happened, one sentence. */
  text: string;
  /** What that means for live requests and batches. */
  meaning: string;
  /** What to do; null: nothing. */
  advice: string | null;
  /** Process, model, batch, node … that it is about; null: the node. */
  subject: string | null;
}

/** What a stream begins with, and has again whenever it cannot go on from where its reader was. */
export interface NodeSnapshot {
  view: NodeView;
  /** Of the last 15 minutes. */
  history: NodeHistory;
}

/** What changed since the message before. */
export interface NodeDelta {
  /** Parts that changed, each as a whole; all but events. */
  view: Partial<Omit<NodeView, 'events'>>;
  /** New ones, to be added. */
  events: NodeEvent[];
  points: HistoryPoint[];
}

/** The scheduler does not answer, so the view stays as it was; a snapshot follows once it does. */
export interface NodeAway {
  /** Unix milliseconds. */
  sinceMs: number;
  reason: string;
}

export const NODE_EVENTS_SHOWN_MAX = 200;

/** The snapshot as it is after a delta; neither is changed. */
export function withDelta({ view, history }: NodeSnapshot, delta: NodeDelta): NodeSnapshot {
  const points = [...history.points, ...delta.points];
  const oldestMs = (points.at(-1)?.atMs ?? 0) - HISTORY_MS;
  return {
    view: { ...view, ...delta.view, events: [...view.events, ...delta.events].slice(-NODE_EVENTS_SHOWN_MAX) },
    history: { ...history, points: points.filter(({ atMs }) => atMs > oldestMs) },
  };
}

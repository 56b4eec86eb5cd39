import { existsSync } from 'node:fs';
import { join } from 'node:path';
import type { CostGrid, IsolationTool, ItemTiming, Lane, WorkerModelPlan } from '@app/contracts';

/*
 * What crosses the boundary to C++: every property is present, null stands for absent. Same names and same order as the
 * export table in src/binding/addon.cc.
 */
export interface NativeAddon {
  /** Connects to a worker on a pool thread. Rejects with a native ChannelError. */
  channelConnect(options: ChannelConnectOptions): Promise<ConnectedChannel>;
  /**
   * Copies the items into shared memory and submits all of them or none; null when there is no room now. Returns the id of the
   * first; those of the others follow it. Throws a native ChannelError, whose `item` is the position of the item at fault. `numbers`
   * are `ChannelItem`s as `submitItems` packs them, with the places of their bytes in `memories`.
   */
  channelSubmit(channel: ChannelHandle, numbers: Float64Array, memories: Uint8Array[]): number | null;
  /** Takes an item that still waits out of the worker's queue; it is answered in any case. */
  channelCancel(channel: ChannelHandle, itemId: number): void;
  /** Takes bytes that came over the socket, and everything that is finished. Outputs are copies. */
  channelReceive(channel: ChannelHandle, bytes: Uint8Array): ReceivedFromChannel;
  /** Unmaps the channel and says what became of the items that are not answered yet. The handle is useless afterwards. */
  channelClose(channel: ChannelHandle): ClosedChannel;
  /** Opens the socket and starts the executors; models load on a thread of their own. Throws. */
  workerStart(options: WorkerStartOptions): NativeWorkerHandle;
  /**
   * Retires models, then loads others. Items for a retired revision are answered with `gone`; those that were taken before are
   * answered by it, then its memory is freed. Throws a TypeError or RangeError that says what is wrong with the change.
   */
  workerChangeModels(worker: NativeWorkerHandle, change: NativeModelChange): void;
  workerLoads(worker: NativeWorkerHandle): NativeLoads;
  /** Revisions that were retired and take memory still: items wait for them or run, or they are not freed yet. */
  workerLeaving(worker: NativeWorkerHandle): number[];
  /** Of a model that was loaded by a worker with `confirmsLoads`: it becomes ready, or has failed with a reason. */
  workerConfirm(worker: NativeWorkerHandle, confirmation: { revision: number; reason: string | null }): void;
  /** The JSON of a `ModelReport[]`. */
  workerModels(worker: NativeWorkerHandle): string;
  /** By name and version, with what revisions did that are gone; those of 256 names and versions are kept without a model. */
  workerStats(worker: NativeWorkerHandle): NativeModelStats[];
  /** Per executor, in the order of the plan's CPUs; empty for one that has not started yet. */
  workerIsolation(worker: NativeWorkerHandle): IsolationTool[][];
  workerIdleLatency(worker: NativeWorkerHandle): IsolationTool;
  workerAwakeSeconds(worker: NativeWorkerHandle): number;
  /** Live items since the start, by name and version. */
  workerService(worker: NativeWorkerHandle): NativeServiceTimes[];
  /** CPU nanoseconds of one run of made-up inputs on an executor for which nothing waits. Rejects with why there is none. */
  workerMeasure(worker: NativeWorkerHandle, probe: NativeProbe): Promise<number>;
  /** Throws a TypeError or RangeError that says what is wrong with the grid. */
  workerSetCostTable(worker: NativeWorkerHandle, table: NativeCostTable): void;
  /** Tells clients about cost ratios that have moved by more than 5 % since they were told. */
  workerTellChanges(worker: NativeWorkerHandle): void;
  /** Refuses new items; false when items were still unanswered after `timeoutMs`. */
  workerDrain(worker: NativeWorkerHandle, timeoutMs: number): Promise<boolean>;
  /** Answers what is left with `unavailable`, closes the channels and ends the threads. Idempotent. */
  workerClose(worker: NativeWorkerHandle): Promise<boolean>;
  /** Lets the calling thread, which stands between callers and live executors, wake up about as soon as they do. */
  isolateFront(): IsolationTool;
  /** As in src/isolation/process_isolation.h. Call before `workerStart`. */
  isolateProcess(options: NativeProcessIsolation): IsolationTool[];
  /** Gives all threads of this process the idle class of disk work. */
  isolateDiskWork(): IsolationTool;
  /** As in src/isolation/wakeup_probe.h; blocks. */
  measureWakeups(options: { cpu: number; count: number; limitMs: number }): NativeWakeups;
  /** Keeps `cpu` busy as a batch executor would, for `limitMs`. Returns once it does. */
  spinAsBatch(options: { cpu: number; limitMs: number }): IsolationTool[];
  /** A descriptor that listens, as src/net/listening_socket.h says. Throws an error with the system's `errno`. */
  listeningSocketOpen(options: { ip: string; port: number; backlog: number }): number;
  /** A copy of a descriptor of another process. Throws an error with the system's `errno`. */
  descriptorCopy(options: { pid: number; fd: number }): number;
  /** Maps the page of one worker, and creates it first. Throws. */
  controlPageOpen(options: { path: string }): ControlPageHandle;
  /** What holds for a batch worker from now on, for `validMs` at most. */
  controlPageControl(page: ControlPageHandle, limits: LaneLimits): void;
  controlPageRead(page: ControlPageHandle): ControlPageReading;
  /** Null: the analytic table. Throws a TypeError or RangeError that says what is wrong with the grid. */
  costTableCreate(grid: CostGrid | null): CostTableHandle;
  /** Predicted cost of one run; `rows` and `length` are whole and count as at least 1. */
  costTableRunNs(table: CostTableHandle, rows: number, length: number): number;
  /** Predicted cost of a row in a run of the size that suits it best. */
  costTableBestRowNs(table: CostTableHandle, length: number): number;
  /**
   * As in src/coalesce/admission.h; whole ns. 0: admitted; else until it would be, -1: not even on an idle worker. `waitFactor`: what
   * `waitFactorAfter` gave; 0: nothing was measured yet. Numbers one by one: reading them from an object costs a live request more.
   */
  admit(backlogNs: number, executors: number, costHighNs: number, timeoutNs: number, waitFactor: number): number;
  /**
   * As in src/coalesce/admission.h: the wait factor for the next requests; whole ns. The factors given are 0 where nothing was measured
   * yet.
   */
  waitFactorAfter(
    waitFactor: number,
    waitNs: number,
    costHighNs: number,
    elapsedNs: number,
    timeoutNs: number,
    priority: number,
    admittedFactor: number,
  ): number;
  /** Loads ONNX Runtime with the checks of a worker's start, and keeps it loaded. Throws. */
  inspectRuntime(options: { ortLibraryPath: string }): NativeRuntime;
  /** A worker in virtual time; blocks. Throws a TypeError or RangeError that says what is wrong with trace or costs. */
  simulate(options: SimulationOptions): SimulationReport;
  /**
   * Puts the doubles with the fewest digits that are these float32 values into `target`, which is as long. Throws a TypeError where it is
   * not.
   */
  shortenFloats(values: Float32Array, target: Float64Array): void;
  /**
   * Writes the JSON array of these numbers into `target` from `at` on; returns where it ends. Throws a TypeError where there are less than
   * 23 bytes for each number and 23 more.
   */
  writeFloats(values: Float32Array, target: Uint8Array, at: number): number;
  /** The JSON array of these numbers; null where one is not finite. Throws a RangeError where it is longer than a string can be. */
  doublesText(values: Float32Array | Float64Array): string | null;
}

export interface NativeProcessIsolation {
  workerId: string;
  lane: Lane;
  /** CPUs of all threads that are not executors. */
  cpus: number[];
  /** Nodes of these CPUs; empty where the machine has one node. */
  numaNodes: number[];
  /** Resident; 0: no limit. */
  memoryBytes: number;
  executors: number;
  /** Running workers of the real-time lane. */
  livePids: number[];
}

export interface NativeWakeups {
  /** Tools of the thread that was measured. */
  tools: IsolationTool[];
  /** How late it ran after each sleep; ascending. */
  delaysNs: number[];
}

/** Opaque; unmapped by the garbage collector. */
export interface ControlPageHandle {
  readonly nativeControlPage: unique symbol;
}

/** As in src/control/control_page.h. */
export interface LaneLimits {
  /** No run begins. */
  isHeldOff: boolean;
  /** Executors that begin no run. */
  withheld: number;
  /** How often the longest predicted run is halved. */
  halvings: number;
  /** Share of the time of all executors, while all are withheld. */
  floorPermille: number;
  /** All of it is void after this time unless it is renewed. */
  validMs: number;
}

/** The activity of a batch worker, the guard of a live worker; zeros otherwise. */
export interface ControlPageReading {
  /** Executors with a run under way. */
  running: number;
  /** Runs begun so far, and those of them that the floor allowed. */
  runs: number;
  floorRuns: number;
  /** Executors of each batch worker that the guard withdraws now. */
  guardWithdrawn: number;
  guardWithdrawals: number;
  /** Cost of a live run, as a ratio to one without batch runs beside it, above which the guard acts; 0: not known yet. */
  guardLimit: number;
  /** That ratio in the last window; 0: none yet. */
  guardLatest: number;
}

/** Times of the live items of one model version, as bucket, count, bucket, count; see lib/service-buckets.ts. */
export interface NativeServiceTimes {
  name: string;
  version: string;
  /** Batch runs were under way. */
  shared: number[];
  /** The batch lane was held off all the time, and no run was left over. */
  alone: number[];
  other: number[];
}

/** Opaque; freed by the garbage collector. */
export interface CostTableHandle {
  readonly nativeCostTable: unique symbol;
}

export interface SimulationOptions {
  lane: Lane;
  executors: number;
  /** Costs of every model. */
  costs: CostGrid;
  rowsMax: number;
  tokensMax: number;
  modelsCount: number;
  /** Waiting items; more are refused (realtime) or come when there is room (batch). */
  queueItemsMax: number;
  /** Seed of the noise in the run times: ± 5 %. */
  seed: number;
  /** Ascends by arrival. */
  trace: SimulatedItem[];
}

export interface SimulatedItem {
  arrivalNs: number;
  /** Position of the model, below `modelsCount`. */
  model: number;
  /** 0 default, 1 highest, larger is lower; at most 255. */
  priority: number;
  rows: number;
  /** Along both sequence axes; 0 where the model has none. */
  lengths: [number, number];
  /** 0: no deadline. */
  timeoutNs: number;
}

export interface Percentiles {
  p50Ns: number;
  p90Ns: number;
  p99Ns: number;
  maxNs: number;
}

/** As in src/simulate/simulator.h. */
export interface SimulationReport {
  items: number;
  answered: number;
  refused: number;
  expired: number;
  /** Answered after their deadlines. */
  late: number;
  simulatedNs: number;
  /** Answered in time, a second. */
  goodput: number;
  latency: Percentiles;
  wait: Percentiles;
  runs: number;
  /** Requests that waited when a run was chosen, mean. */
  waitingItems: number;
  rowsPerRun: number;
  paddedShare: number;
  busyShare: number;
  /** Cost of all runs against the lower bound. */
  regret: number;
}

/** Opaque; the memory it stands for is freed by `channelClose` or the garbage collector. */
export interface ChannelHandle {
  readonly nativeChannel: unique symbol;
}

export interface ChannelConnectOptions {
  socketPath: string;
  /** Payload memory, shared by all items in flight. */
  arenaBytes: number;
  /** In flight at once; at most 32768. */
  itemsMax: number;
  timeoutMs: number;
}

export interface ConnectedChannel {
  /** What the worker says about itself: the JSON of a `WorkerReport`. */
  text: string;
  channel: ChannelHandle;
  /** The socket, for the event loop to read; owned by the caller. */
  fd: number;
}

export interface ChannelTensor {
  /** Position among the model's inputs or outputs. */
  index: number;
  /** ONNX element type. */
  type: number;
  shape: number[];
  data: Uint8Array;
}

export interface ChannelItem {
  /** Of the model, as the worker's report has it. */
  revision: number;
  /** 0 default, 1 highest, larger is lower; at most 255. */
  priority: number;
  /** Never share a run. */
  alone: boolean;
  /** Go before all others, beside a run in progress where every executor has one. */
  ahead: boolean;
  /** From now; null: no deadline. */
  timeoutMs: number | null;
  /** Positions of the outputs wanted; null: all. */
  outputs: number[] | null;
  /** Memory set aside for the answer; see `responseBytesFor`. */
  responseBytes: number;
  inputs: ChannelTensor[];
}

/** In the order of the numbers in src/item.h. */
export const ITEM_STATUSES = [
  'ok',
  'invalid',
  'failed',
  'deadline-exceeded',
  'cancelled',
  'response-too-large',
  'unavailable',
  'queue-full',
  'run-timeout',
  'gone',
] as const;
export type ItemStatus = (typeof ITEM_STATUSES)[number];

export interface Completion {
  itemId: number;
  /** Position in `ITEM_STATUSES`. */
  status: number;
  /** Empty when ok. For `response-too-large`: the bytes that the outputs need, in decimal. */
  message: string;
  outputs: ChannelTensor[];
  timing: ItemTiming;
}

/** `Completion`s for `completionsOf`. */
export interface PackedCompletions {
  numbers: Float64Array;
  /** Of those that are not ok, in their order. */
  messages: string[];
  data: Uint8Array;
}

export interface ReceivedFromChannel extends PackedCompletions {
  texts: string[];
  /** The worker broke the protocol: the channel must be closed. */
  broken: string | null;
}

export interface ClosedChannel extends PackedCompletions {
  /** Items of the run that killed the worker, where it knew. */
  guiltyItemIds: number[];
  /** Other items that were being run. */
  runningItemIds: number[];
  waitingItemIds: number[];
}

/** Opaque; closed by `workerClose` or, when all else fails, the garbage collector. */
export interface NativeWorkerHandle {
  readonly nativeWorker: unique symbol;
}

export interface NativeRuntime {
  version: string;
  /** Execution providers that it offers, by ONNX Runtime's names. */
  providers: string[];
}

export interface NativeModelPlan extends WorkerModelPlan {
  /** Why it is not loaded; null: it is. */
  refusal: string | null;
  /** What loading it takes; 0: not known. A model that finds less has failed, with what would make it fit. */
  needBytes: number;
  /** After all others. */
  loadsLast: boolean;
}

export interface NativeModelChange {
  /** Revisions; those that are gone already do not count. */
  retired: number[];
  added: NativeModelPlan[];
}

export interface NativeLoads {
  /** Models that are neither ready nor have failed. */
  loading: number;
  /** Revisions of those of them that wait for `workerConfirm`. */
  unconfirmed: number[];
}

/** How the models of a worker run on its GPU. */
export interface NativeCuda {
  /** As ONNX Runtime documents them for the CUDA provider. */
  options: Record<string, string>;
  /** All sessions compute on one stream of high priority; their runs must not overlap. */
  priorityStream: boolean;
}

export interface WorkerStartOptions {
  id: string;
  lane: Lane;
  /** One executor each. */
  cpus: number[];
  socketPath: string;
  queueItemsMax: number;
  /** Idle CPUs of the machine are kept from sleeping for this long after a client's last message; 0: never. */
  awakeMs: number;
  /** Why it may not keep CPUs awake by loops of its own; null: it may. */
  loopRefusal: string | null;
  models: NativeModelPlan[];
  /** Of its process; 0: as much as the machine has left. */
  memoryBytes: number;
  /** A model that was loaded is ready only once `workerConfirm` says so. */
  confirmsLoads: boolean;
  /** Null: no lane control. */
  controlPagePath: string | null;
  /** Pages of the workers of the other lane beside it. */
  otherControlPagePaths: string[];
  ortLibraryPath: string;
  /** Null: its models run on the CPUs. */
  cuda: NativeCuda | null;
  /** The open file of the heartbeat, laid out as src/run/heartbeat.h says; null: nobody watches. */
  heartbeatFd: number | null;
}

export interface NativeProbe {
  /** Of the model. */
  revision: number;
  rows: number;
  /** Tokens of each row; 1 where the model has no sequence axis. */
  length: number;
  /** Afterwards the memory that runs of this model had grown to goes back to the system; a small run, as its time means nothing. */
  trims: boolean;
}

export interface NativeCostTable {
  revision: number;
  grid: CostGrid;
}

/** Upper bounds of `NativeModelStats.runRows`; its last count is for what is larger. As in src/run/stats.h. */
export const RUN_ROWS_BOUNDS = [1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1024] as const;

/** Upper bounds of `NativeModelStats.costRatios`; its last count is for what is larger. As in src/run/stats.h. */
export const COST_RATIO_BOUNDS = [
  0.5, 0.7, 0.8, 0.85, 0.9, 0.925, 0.95, 0.975, 1, 1.025, 1.05, 1.075, 1.1, 1.15, 1.2, 1.3, 1.5, 2, 4,
] as const;

/** Upper bounds of `NativeModelStats.formations` in seconds; its last count is for what is larger. As in src/run/stats.h. */
export const FORMATION_SECONDS_BOUNDS = [1e-6, 2e-6, 5e-6, 1e-5, 2e-5, 5e-5, 1e-4, 2e-4, 5e-4, 1e-3, 2e-3, 5e-3, 1e-2] as const;

/** Counts of all revisions of a model version since the start. */
export interface NativeModelStats {
  name: string;
  version: string;
  runs: number;
  rows: number;
  realTokens: number;
  /** What was run: real tokens and padding. */
  paddedTokens: number;
  runSeconds: number;
  /** Runs by their rows; not cumulative. */
  runRows: number[];
  /** Runs by measured cost ÷ predicted cost; not cumulative. */
  costRatios: number[];
  costRatioSum: number;
  /** Runs by the time in which they were chosen; not cumulative. */
  formations: number[];
  formationSeconds: number;
  /** Items that were answered by the run of an equal one. */
  duplicates: number;
  /** Answered items by the position of their status in `ITEM_STATUSES`. */
  items: number[];
  queueItems: number;
  /** Age of the item that waits longest. */
  queueAgeSeconds: number;
}

const ADDON_FILE = 'interleave_native.node';
/** As seen from the sources and from dist/libs/native/lib. */
const BUILD_FOLDERS = [join(__dirname, '..', 'build'), join(__dirname, '..', '..', '..', '..', 'libs', 'native', 'build')];

let loaded: NativeAddon | null = null;

/** The addon; loaded on the first call. Throws with what to do when it is missing or cannot be loaded. */
export function loadAddon(): NativeAddon {
  loaded ??= require(findAddon()) as NativeAddon;
  return loaded;
}

/** Where the addon is. Throws with what to do when it is not built. */
export function findAddon(): string {
  const candidates = BUILD_FOLDERS.map((folder) => join(folder, ADDON_FILE));
  const found = candidates.find((candidate) => existsSync(candidate));
  if (found === undefined)
    throw new Error(`the native addon is not built: expected ${candidates.join(' or ')}; run "npm run build:native"`);
  return found;
}

import { mkdirSync, mkdtempSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { loadConfig, runPaths } from '@app/config';
import {
  InterleaveError,
  type InferenceBackend,
  type InferenceRequest,
  type ItemResult,
  type Lane,
  type ModelReport,
  type ModelSignature,
  type PlacedRelease,
  type Placement,
  type UnreadRequest,
  type WorkerModelPlan,
} from '@app/contracts';
import { ModelNotReady, type ModelCatalog, type ServedModel, type ServingPolicy } from '@app/models';
import { writePlacement } from '@app/process';
import { createLogger } from '@app/telemetry';
import { ItemCount } from '@app/worker-pool';
import { LaneModule } from '../lane/lane.module';
import type { ApiOptions } from '../server';

const SIGNATURE: ModelSignature = {
  inputs: [{ name: 'x', datatype: 'FP32', shape: [-1, 2], axes: ['batch', 'fixed'] }],
  outputs: [{ name: 'y', datatype: 'FP32', shape: [-1, 2], axes: ['batch', 'fixed'] }],
  coalesce: 'padded',
  coalesceReason: null,
};

/** Executor time of each item: its part of a run of 2.5 ms with three rows. */
const RAN_NS = 2.5e6 / 3;

/** A backend in this process that answers each item with its own input, when and as the test says. */
export class EchoBackend implements InferenceBackend {
  reports: ModelReport[] = [{ name: 'echo', version: '1', revision: 1, state: 'ready', cost: null, reason: null, signature: SIGNATURE }];
  /** `realtime.timeoutMs` of the model's files. */
  modelTimeoutMs: number | null = null;
  /** Of the files of each model, by its name. */
  readonly policies: Record<string, Partial<ServingPolicy>> = {};
  /** Names of models that are there but not loaded. */
  readonly unloaded = new Set<string>();
  /** By model. */
  readonly releases: Record<string, PlacedRelease> = {};
  /** What `infer` waits for. */
  gate: Promise<unknown> = Promise.resolve();
  /** What `infer` rejects with. */
  refusal: InterleaveError | null = null;
  readonly requests: InferenceRequest[] = [];
  /** Items that the queues of all workers hold. */
  itemsMax = 1024;
  private readonly count = new ItemCount({ itemsMax: () => this.itemsMax });
  private readonly listeners = new Set<() => void>();

  constructor(readonly lane: Lane = 'realtime') {}

  models(): ModelReport[] {
    return this.reports;
  }

  onModelsChanged(listener: () => void): () => void {
    this.listeners.add(listener);
    return () => this.listeners.delete(listener);
  }

  report(reports: ModelReport[]): void {
    this.reports = reports;
    for (const listener of this.listeners) listener();
  }

  async infer(request: InferenceRequest): Promise<(ItemResult | InterleaveError)[]> {
    this.count.admit(request.items.length);
    this.requests.push(request);
    const aborted = new Promise((_resolve, reject) => {
      request.signal?.addEventListener('abort', () => reject(new InterleaveError('client_closed', 'The caller hung up')));
    });
    await Promise.race([this.gate, aborted]).finally(() => this.count.release(request.items.length, false));
    if (this.refusal) throw this.refusal;
    for (const _item of request.items) request.onRan?.(this.ranNs);
    return request.items.map(({ inputs }) => ({
      outputs: inputs.map((input) => ({ ...input, name: 'y' })),
      timing: { queueUs: 150, runUs: 2500, runRows: 3, startedNs: this.startedNs },
    }));
  }

  /** Of the run that all items are in. */
  startedNs = 0;

  /** What each item ran, as `onRan` is told. */
  ranNs = RAN_NS;

  /** What `checkAhead` throws. */
  refusalAhead: InterleaveError | null = null;

  /** What requests that are looked at before their bodies are read are taken to cost. */
  unreadNs = 0;
  /** The looks, in order. */
  readonly unread: UnreadRequest[] = [];

  checkAhead(request: UnreadRequest): number {
    this.unread.push(request);
    if (this.refusalAhead) throw this.refusalAhead;
    this.count.checkRoom(request.itemsAhead);
    return this.unreadNs;
  }

  /** What `predictedNs` says of each item. */
  itemNs = 0;

  predictedNs({ items }: Pick<InferenceRequest, 'items'>): number {
    return items.length * this.itemNs;
  }

  admittedItems(): number {
    return this.count.inFlight;
  }

  /** What is handed to workers, of the items that were admitted. */
  handedOver = 0;
  /** What `backlogMs` says. */
  predictedBacklogMs = 0;

  inFlightItems(): number {
    return this.handedOver;
  }

  backlogMs(): number {
    return this.predictedBacklogMs;
  }

  async close(): Promise<void> {}
}

/** A catalog of what the backend reports, all plain tensor models. */
function catalogOf(backend: EchoBackend): ModelCatalog {
  const served = ({ name, version, revision }: ModelReport, signature: ModelSignature): ServedModel => ({
    name,
    version,
    revision,
    task: 'tensor',
    signature,
    text: null,
    tensorsBecause: null,
    labels: null,
    timeoutMs: backend.modelTimeoutMs,
    deduplicate: true,
    isGraph: false,
    remoteFiles: null,
  });
  const found = (name: string, version: string | null): ModelReport | undefined =>
    backend.reports.find((report) => report.name === name && (version === null || report.version === version));
  /** One for the files of a version, as long as they are the same. */
  const policies = new Map<unknown, ServingPolicy>();
  const policyOf = (name: string, version: string | null): ServingPolicy | null => {
    const report = found(name, version);
    if (report === undefined) return null;
    const own = backend.policies[`${name} ${report.version}`] ?? backend.policies[name];
    const key = own ?? `${name} ${report.version}`;
    const policy = policies.get(key) ?? { cache: null, degrade: [], head: null, tokenizerDigest: null, ...own };
    policies.set(key, policy);
    return policy;
  };
  return {
    list: () =>
      backend.reports.map(({ name, version, revision, state, reason, signature }) => {
        const isUnloaded = backend.unloaded.has(name);
        return { name, version, revision, state: isUnloaded ? 'unloaded' : state, reason, signature, task: 'tensor', changeRefusal: null };
      }),
    entriesOf(name, version) {
      const entries = this.list().filter((entry) => entry.name === name && (version === null || entry.version === version));
      if (entries.length === 0) throw new InterleaveError('model_not_found', `no model ${name} version ${JSON.stringify(version)}`);
      return entries;
    },
    find: (name, version) => {
      const report = found(name, version);
      if (!report) throw new InterleaveError('model_not_found', `no model ${name}`);
      if (backend.unloaded.has(name)) throw new ModelNotReady(name, version, 'unloaded', true);
      if (!report.signature) throw new ModelNotReady(name, report.version, 'loading', false);
      return served(report, report.signature);
    },
    policyOf,
    ofRevision: (revision) => {
      const report = backend.reports.find((candidate) => candidate.revision === revision && candidate.state === 'ready');
      const policy = report === undefined ? null : policyOf(report.name, report.version);
      return report?.signature && policy !== null ? { model: served(report, report.signature), policy } : null;
    },
    failureOf: () => null,
    applyReports: () => undefined,
    releaseOf: (name) => backend.releases[name] ?? null,
    revisions: () => null,
    onChange: (listener) => backend.onModelsChanged(listener),
  };
}

/** An API on the backend, with folders of its own; no Redis answers. */
export function apiOn(backend: EchoBackend, settings: { queueItemsMax?: number; batch?: EchoBackend } = {}): ApiOptions {
  const dir = mkdtempSync(join(tmpdir(), 'il-api-'));
  const config = loadConfig({
    DATA_DIR: dir,
    LOG_LEVEL: 'fatal',
    PORT: '0',
    GRPC_PORT: '0',
    REDIS_URL: `unix://${join(dir, 'no-redis.sock')}`,
  });
  const models = backend.reports.map(({ name, version, revision }) => ({ name, version, revision }) as WorkerModelPlan);
  const queueItemsMax = settings.queueItemsMax ?? 1024;
  backend.itemsMax = queueItemsMax;
  const placement: Placement = {
    formatVersion: 1,
    partitions: [{ id: 'p0', class: 'burstable', cpus: [0], memoryBytes: null }],
    workers: [
      {
        id: 'p0-realtime',
        partitionId: 'p0',
        lane: 'realtime',
        cpus: [0],
        processCpus: [0],
        memoryBytes: null,
        socketPath: '',
        models,
        queueItemsMax,
        channelBytes: 0,
        awakeMs: 0,
        gpu: null,
        gpuRefusal: null,
      },
    ],
  };
  mkdirSync(config.runDir, { recursive: true });
  writePlacement(runPaths(config.runDir).placement, placement);
  const logger = createLogger('api', config.logLevel);
  return {
    config,
    id: 'api',
    turn: null,
    logger,
    tracing: null,
    lane: LaneModule.of(backend, settings.batch ?? new EchoBackend('batch'), catalogOf(backend)),
  };
}

import { mkdirSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { runPaths, type Config } from '@app/config';
import type { InferenceItem, InterleaveError, ItemResult, Lane, ModelReport, Placement, WorkerModelPlan, WorkerPlan } from '@app/contracts';
import { hasFile, openModelCatalog, scanRepository, workerModelPlan, type ModelCatalog, type RepositoryEntry } from '@app/models';
import { startWorker, type WorkerHandle } from '@app/native';
import { writePlacement } from '@app/process';
import { parseJsonBody, prepare, runPrepared, toJsonText, type JsonLimits, type Limits, type PreparedRequest } from '@app/protocols';
import { readTopology } from '@app/system';
import { createLogger } from '@app/telemetry';
import { WorkerPool } from '@app/worker-pool';
import { CliError } from './cli-error';

const WORKER = 'local';
const READY_POLL_MS = 20;
const GPU_REFUSAL = 'this command runs models on CPUs only; set device: cpu, or try it on a node';

/** Answers are this process's own. */
const OF_ANY_SIZE: JsonLimits = {
  bytesMax: Infinity,
  valuesMax: Infinity,
  stringsMax: Infinity,
  keysMax: Infinity,
  depthMax: Infinity,
  numberCharactersMax: Infinity,
};

export interface LocalNodeOptions {
  config: Config;
  /** Holds models by name and version; links may lead out of it. */
  modelsDir: string;
  /** One executor for each; default: the last CPU of the machine. */
  cpus?: number[];
  /** Default: that which the models' `lanes` name first, or else `realtime`. */
  lane?: Lane;
  /** Changes to what the files say. */
  overrides?: Partial<WorkerModelPlan>;
}

/** An instance of the `:predict` shape, as parsed JSON. */
export interface Instance {
  input: unknown;
  parameters?: unknown;
}

/** A model version as the node runs it. */
export interface LocalModel {
  entry: RepositoryEntry;
  /** Null: its files cannot be served. */
  revision: number | null;
}

/**
 * Worker, channel, catalog and preparation of a node, all in this process and for this command only: answers are those that
 * callers of a node get. Nothing listens outside a folder of its own, which `close` removes.
 */
export class LocalNode {
  private constructor(
    private readonly folder: string,
    readonly models: readonly LocalModel[],
    readonly worker: WorkerHandle,
    private readonly pool: WorkerPool,
    readonly catalog: ModelCatalog,
    private readonly limits: Limits,
  ) {}

  /** From the start of the worker until all models were ready or had failed; proof and probes of rows included. */
  loadMs = 0;

  /** Resolves when each model is ready or has failed. Rejects when the folder or the runtime cannot be used. */
  static async start(options: LocalNodeOptions): Promise<LocalNode> {
    const folder = mkdtempSync(join(tmpdir(), 'interleave-local-'));
    try {
      return await LocalNode.startIn(folder, options);
    } catch (error) {
      rmSync(folder, { recursive: true, force: true });
      throw error;
    }
  }

  private static async startIn(folder: string, { config, modelsDir, cpus, lane, overrides }: LocalNodeOptions): Promise<LocalNode> {
    const entries = scanRepository(modelsDir);
    const runsIn = lane ?? entries.find(({ manifest }) => manifest?.lanes)?.manifest?.lanes?.[0] ?? 'realtime';
    const plans: WorkerModelPlan[] = [];
    const models = entries.map((entry): LocalModel => {
      if (entry.manifest === null || !hasFile(entry.manifest)) return { entry, revision: null };
      const files = { revision: plans.length + 1, fingerprint: entry.fingerprint };
      plans.push({ ...workerModelPlan(entry.manifest, config[runsIn], files), ...overrides });
      return { entry, revision: files.revision };
    });
    const runDir = join(folder, 'run');
    mkdirSync(runDir);
    const plan: WorkerPlan = {
      id: WORKER,
      partitionId: WORKER,
      lane: runsIn,
      cpus: cpus ?? readTopology().effective.slice(-1),
      processCpus: readTopology().effective,
      memoryBytes: null,
      socketPath: runPaths(runDir).workerSocket(WORKER),
      models: plans,
      queueItemsMax: config[runsIn].queueItemsMax,
      channelBytes: config[runsIn].channelBytes,
      awakeMs: 0,
      gpu: null,
      gpuRefusal: GPU_REFUSAL,
    };
    writePlacement(runPaths(runDir).placement, placementOf(plan));
    const catalog = await openModelCatalog(modelsDir, runsIn, createLogger(WORKER, 'silent'));
    const startedMs = performance.now();
    const worker = startWorker({ plan, ortLibraryPath: config.ortLibraryPath });
    const pool = new WorkerPool({ lane: runsIn, runDir });
    pool.onModelsChanged(() => catalog.applyReports(pool.models()));
    const limits = {
      itemsMax: Math.min(config.http.requestItemsMax, plan.queueItemsMax),
      tensorBytesMax: Math.floor(plan.channelBytes / 4),
    };
    const node = new LocalNode(folder, models, worker, pool, catalog, limits);
    await node.settled();
    node.loadMs = performance.now() - startedMs;
    return node;
  }

  /** What the worker says; null for files that it was not given. */
  reportOf(model: LocalModel): ModelReport | null {
    return this.worker.models().find(({ revision }) => revision === model.revision) ?? null;
  }

  /** Checks and tokenizes. Rejects with an `InterleaveError`. */
  async prepare(model: LocalModel, instances: readonly Instance[]): Promise<PreparedRequest> {
    const { name, version } = model.entry;
    const [{ parameters } = {}] = instances;
    const body = { instances: instances.map(({ input }) => input), ...(parameters === undefined ? {} : { parameters }) };
    return prepare({ kind: 'predict', model: name, version }, body, null, this.catalog, this.limits);
  }

  /** The answer to one instance. Rejects with an `InterleaveError`. */
  async predict(model: LocalModel, instance: Instance): Promise<unknown> {
    const answer = await runPrepared(this.pool, { ...(await this.prepare(model, [instance])), timeoutMs: null }, null);
    if (answer.kind !== 'json') throw new Error(`expected a JSON answer of ${model.entry.name}`);
    // As callers read it.
    const { predictions } = parseJsonBody(Buffer.from(toJsonText(answer.body)), OF_ANY_SIZE) as { predictions: unknown[] };
    return predictions[0];
  }

  /** Runs tensors, by default without a deadline. An item that fails has its error. Rejects where all are refused. */
  async run(
    { entry: { name, version } }: LocalModel,
    items: InferenceItem[],
    timeoutMs: number | null = null,
  ): Promise<(ItemResult | InterleaveError)[]> {
    return this.pool.infer({ model: name, version, items, timeoutMs, priority: 0, signal: null });
  }

  async close(): Promise<void> {
    await this.pool.close();
    await this.worker.close();
    rmSync(this.folder, { recursive: true, force: true });
  }

  /** Until the worker and the catalog have come to a result about each model. */
  private async settled(): Promise<void> {
    const isOpen = ({ state }: { state: string }): boolean => state === 'loading';
    while (this.worker.models().some(isOpen) || this.catalog.list().some(isOpen))
      await new Promise((resolve) => setTimeout(resolve, READY_POLL_MS));
  }
}

function placementOf(plan: WorkerPlan): Placement {
  const versions = plan.models.map(({ name, version, revision }) => ({
    name,
    version,
    serving: revision,
    next: null,
    state: 'serving' as const,
    reason: null,
  }));
  return { formatVersion: 1, partitions: [], workers: [plan], versions };
}

/** One of the versions that the node was started with. */
export function findModel(node: LocalNode, version: string): LocalModel {
  const found = node.models.find(({ entry }) => entry.version === version);
  if (found === undefined) throw new CliError(`there is no version ${version}`);
  return found;
}

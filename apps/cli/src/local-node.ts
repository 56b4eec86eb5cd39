import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { runPaths, type Config } from '@app/config';
import type {
  CostGrid,
  GraphPlan,
  InferenceItem,
  InterleaveError,
  ItemResult,
  Lane,
  ModelReport,
  Placement,
  WorkerModelPlan,
  WorkerPlan,
} from '@app/contracts';
import { GraphBackend } from '@app/graphs';
import { hasFile, openModelCatalog, scanRepository, workerModelPlan, type ModelCatalog, type RepositoryEntry } from '@app/models';
import { startWorker, type WorkerHandle } from '@app/native';
import { PlacementReader, writePlacement } from '@app/process';
import { parseJsonBody, prepare, runPrepared, toJsonText, type JsonLimits, type Limits, type PreparedRequest } from '@app/protocols';
import { readTopology } from '@app/system';
import { createLogger } from '@app/telemetry';
import { WorkerPool } from '@app/worker-pool';
import { CliError } from './cli-error';
import { makeScratchFolder, removeScratchFolder } from './scratch-folder';

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
  /** A worker for each, with these models; default: one with all of them, on the last CPUs of the machine, as many as the widest needs. */
  cpuSets?: readonly CpuSet[];
  /** Default: that which the models' `lanes` name first, or else `realtime`. */
  lane?: Lane;
  /** Changes to what the files say. */
  overrides?: Partial<WorkerModelPlan>;
}

/** One executor for each CPU. */
export interface CpuSet {
  cpus: readonly number[];
  /** Names; null: all. */
  models: readonly string[] | null;
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
 * Workers, channel, graphs, catalog and preparation of a node, all in this process and for this command only: answers are those that
 * callers of a node get. Nothing listens outside a folder of its own, which `close` removes.
 */
export class LocalNode {
  private constructor(
    private readonly folder: string,
    readonly models: readonly LocalModel[],
    private readonly workers: readonly WorkerHandle[],
    private readonly pool: WorkerPool,
    private readonly placement: PlacementReader,
    private readonly backend: GraphBackend,
    readonly catalog: ModelCatalog,
    private readonly limits: Limits,
  ) {}

  /** From the start of the workers until all models were ready or had failed; proof and probes of rows included. */
  loadMs = 0;

  /** Resolves when each model is ready or has failed. Rejects when the folder or the runtime cannot be used. */
  static async start(options: LocalNodeOptions): Promise<LocalNode> {
    const folder = makeScratchFolder('local');
    try {
      return await LocalNode.startIn(folder, options);
    } catch (error) {
      removeScratchFolder(folder);
      throw error;
    }
  }

  private static async startIn(folder: string, { config, modelsDir, cpuSets, lane, overrides }: LocalNodeOptions): Promise<LocalNode> {
    const entries = scanRepository(modelsDir);
    const runsIn = lane ?? entries.find(({ manifest }) => manifest?.lanes)?.manifest?.lanes?.[0] ?? 'realtime';
    const models = entries.map((entry, i): LocalModel => ({ entry, revision: entry.manifest === null ? null : i + 1 }));
    const runDir = join(folder, 'run');
    mkdirSync(runDir);
    const threads = entries.flatMap(({ manifest }) =>
      manifest !== null && hasFile(manifest) ? (manifest.executorThreads[runsIn] ?? config[runsIn].executorThreads) : [],
    );
    const sets = cpuSets ?? [{ cpus: readTopology().effective.slice(-Math.max(1, ...threads)), models: null }];
    const plans = sets.map(({ cpus, models: names }, i): WorkerPlan => {
      const id = `local-${i + 1}`;
      return {
        id,
        partitionId: id,
        lane: runsIn,
        cpus: [...cpus],
        processCpus: readTopology().effective,
        memoryBytes: null,
        socketPath: runPaths(runDir).workerSocket(id),
        models: models.flatMap(({ entry, revision }): WorkerModelPlan[] => {
          if (revision === null || entry.manifest === null || !hasFile(entry.manifest) || names?.includes(entry.name) === false) return [];
          const files = { revision, fingerprint: entry.fingerprint };
          return [{ ...workerModelPlan(entry.manifest, runsIn, config[runsIn], files), ...overrides }];
        }),
        queueItemsMax: config[runsIn].queueItemsMax,
        channelBytes: config[runsIn].channelBytes,
        awakeMs: 0,
        gpu: null,
        gpuRefusal: GPU_REFUSAL,
      };
    });
    writePlacement(runPaths(runDir).placement, placementOf(plans, models, runsIn));
    const catalog = await openModelCatalog(modelsDir, runsIn, createLogger('local', 'silent'));
    const startedMs = performance.now();
    const workers = await startAll(plans, config);
    const placement = new PlacementReader(runDir);
    const pool = new WorkerPool({ lane: runsIn, runDir, placement });
    const backend = new GraphBackend({ steps: pool, placement });
    backend.onModelsChanged(() => catalog.applyReports(backend.models()));
    backend.useTexts(catalog);
    const limits = {
      itemsMax: Math.min(config.http.requestItemsMax, config[runsIn].queueItemsMax),
      tensorBytesMax: Math.floor(config[runsIn].channelBytes / 4),
    };
    const node = new LocalNode(folder, models, workers, pool, placement, backend, catalog, limits);
    await node.settled();
    node.loadMs = performance.now() - startedMs;
    return node;
  }

  /** What the workers say of a model, or of the steps of a graph; null: its files cannot be served. */
  reportOf({ revision }: LocalModel): ModelReport | null {
    return this.backend.models().find((report) => report.revision === revision) ?? null;
  }

  /** Time of one run on an executor, in ns. Rejects where it cannot be measured. */
  measure(model: LocalModel, shape: { rows: number; length: number }): Promise<number> {
    return this.workerOf(model).measure({ revision: model.revision ?? -1, ...shape, trims: false });
  }

  /** By this its worker decides how many rows share a run. */
  setCostTable(model: LocalModel, costs: CostGrid): void {
    this.workerOf(model).setCostTable(model.revision ?? -1, costs);
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
    const answer = await runPrepared(this.backend, { ...(await this.prepare(model, [instance])), timeoutMs: null }, null);
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
    return this.backend.infer({ model: name, version, items, timeoutMs, priority: 0, signal: null });
  }

  async close(): Promise<void> {
    await this.pool.close();
    this.placement.close();
    await Promise.all(this.workers.map((worker) => worker.close()));
    removeScratchFolder(this.folder);
  }

  private workerOf({ entry, revision }: LocalModel): WorkerHandle {
    const found = this.workers.find((worker) => worker.models().some((report) => report.revision === revision));
    if (found === undefined) throw new CliError(`no worker has ${entry.name}`);
    return found;
  }

  /** Until the workers and the catalog have come to a result about each model. */
  private async settled(): Promise<void> {
    const isOpen = ({ state }: { state: string }): boolean => state === 'loading';
    while (this.workers.some((worker) => worker.models().some(isOpen)) || this.catalog.list().some(isOpen))
      await new Promise((resolve) => setTimeout(resolve, READY_POLL_MS));
  }
}

/** All of them or, with the error of the first that cannot be started, none. */
async function startAll(plans: readonly WorkerPlan[], { ortLibraryPath }: Config): Promise<WorkerHandle[]> {
  const started: WorkerHandle[] = [];
  try {
    for (const plan of plans) started.push(startWorker({ plan, ortLibraryPath }));
    return started;
  } catch (error) {
    await Promise.all(started.map((worker) => worker.close()));
    throw error;
  }
}

function placementOf(workers: WorkerPlan[], models: readonly LocalModel[], lane: Lane): Placement {
  const versions = models.flatMap(({ entry: { name, version }, revision }) =>
    revision === null ? [] : [{ name, version, serving: revision, next: null, state: 'serving' as const, reason: null }],
  );
  return { formatVersion: 1, partitions: [], workers, versions, graphs: models.flatMap((model) => graphPlan(model, models, lane) ?? []) };
}

/** Null: the model has a file of its own, or cannot be served. Throws a `CliError` where a step's model is not there. */
function graphPlan({ entry, revision }: LocalModel, models: readonly LocalModel[], lane: Lane): GraphPlan | null {
  const { manifest, name, version, fingerprint } = entry;
  if (!manifest?.graph || revision === null) return null;
  const steps = manifest.graph.steps.map(({ kind, model, version: wanted, inputMap, outputMap }) => {
    const found = models.findLast((each) => each.entry.name === model && (wanted === null || each.entry.version === wanted));
    if (!found || found.revision === null) throw new CliError(`${name}: the model ${model} of a step is not there, or cannot be served`);
    return { kind, model, version: found.entry.version, revision: found.revision, inputMap, outputMap };
  });
  return { name, version, revision, fingerprint, lanes: [lane], steps, outputs: manifest.graph.outputs };
}

/** One of the versions that the node was started with. */
export function findModel(node: LocalNode, version: string): LocalModel {
  const found = node.models.find(({ entry }) => entry.version === version);
  if (found === undefined) throw new CliError(`there is no version ${version}`);
  return found;
}

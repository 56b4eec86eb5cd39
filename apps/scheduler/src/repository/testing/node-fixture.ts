import { mkdirSync, mkdtempSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { loadConfig, runPaths, type Config } from '@app/config';
import {
  type ModelReport,
  type Placement,
  type PlacedVersion,
  type PreemptionProof,
  type RevisionBinding,
  type WorkerModelPlan,
} from '@app/contracts';
import { readPlacement, serveProcessStatus, type ProcessStatusServer } from '@app/process';
import { createLogger } from '@app/telemetry';
import { Registry } from 'prom-client';
import { laneModels } from '../../placement/lane-models';
import { planNode, type NodeFacts } from '../../placement/plan-node';
import { PublishedPlacement } from '../../placement/published-placement';
import { MACHINES, topologyOfMachine } from '../../placement/testing/machines';
import { RepositoryCommands } from '../commands';
import { ReleaseDecisions } from '../decisions';
import { RepositoryEvents } from '../events';
import { ModelReleases } from '../model-releases';
import { ModelRepository } from '../model-repository';
import { RevisionNumbers } from '../numbers';
import { Observer } from '../observer';
import { revisionPlanner } from '../planner';

const HOLDS: PreemptionProof = {
  verdict: 'holds',
  cause: null,
  reason: '',
  cpu: 0,
  attempts: 1,
  p50Ms: 0,
  p99Ms: 0,
  aloneP99Ms: null,
};
const WORKERS = ['default-realtime', 'default-batch'];
const PROCESSES = [...WORKERS, 'api-1', 'runner'];

/** A model that workers have, or a graph. */
type Planned = Pick<WorkerModelPlan, 'name' | 'version' | 'revision' | 'fingerprint'>;

/** What the process of that id says; tests change it. */
interface Saying {
  /** Revisions that it fails on, with the reason; null for all others. */
  problemOf: (plan: Planned) => string | null;
  /** Revisions that it does not have yet. */
  isLoading: (plan: Planned) => boolean;
  pinned: number[] | null | undefined;
  calibration: 'measuring' | 'measured';
}

/** Files on a node's disk, its placement, and processes that follow it: each answers on a status socket of its own. */
export class NodeFixture {
  readonly dir = mkdtempSync(join(tmpdir(), 'il-repository-'));
  readonly modelsDir = join(this.dir, 'models');
  readonly says = new Map<string, Saying>();
  readonly quarantined: { name: string; version: string; lane: 'realtime' | 'batch' }[] = [];
  repository!: ModelRepository;
  commands!: Record<string, (body: unknown) => unknown>;
  events!: RepositoryEvents;
  private readonly servers = new Map<string, ProcessStatusServer>();

  constructor(private readonly settings: Partial<Config['repository']> = {}) {
    mkdirSync(this.modelsDir, { recursive: true });
    mkdirSync(this.runDir, { recursive: true });
    for (const id of PROCESSES) this.says.set(id, { problemOf: () => null, isLoading: () => false, pinned: [], calibration: 'measured' });
  }

  get runDir(): string {
    return join(this.dir, 'run');
  }

  /** Replaces files of a model in one step each: `m/1/model.onnx`. */
  write(path: string, content: string): void {
    const target = join(this.modelsDir, path);
    mkdirSync(dirname(target), { recursive: true });
    writeFileSync(join(this.dir, 'new'), content);
    renameSync(join(this.dir, 'new'), target);
  }

  remove(path: string): void {
    rmSync(join(this.modelsDir, path), { recursive: true });
  }

  saying(id: string): Saying {
    const saying = this.says.get(id);
    if (saying === undefined) throw new Error(`no process ${id}`);
    return saying;
  }

  async serve(...ids: string[]): Promise<void> {
    for (const id of ids.length > 0 ? ids : PROCESSES) {
      const socketPath = runPaths(this.runDir).statusSocket(id);
      this.servers.set(id, await serveProcessStatus({ socketPath, registry: new Registry(), status: () => this.statusOf(id) }));
    }
  }

  async end(id: string): Promise<void> {
    await this.servers.get(id)?.close();
    this.servers.delete(id);
    rmSync(runPaths(this.runDir).statusSocket(id), { force: true });
  }

  /** A scheduler starts. `isInUse`: processes of one before run on. */
  start(isInUse = false): void {
    this.compose(isInUse);
    this.repository.start();
  }

  compose(isInUse = false): void {
    const { repository: defaults, ...rest } = loadConfig({ DATA_DIR: this.dir, MODELS_DIR: this.modelsDir, RUN_DIR: this.runDir });
    const config: Config = { ...rest, repository: { ...defaults, pollMs: 100, ...this.settings } };
    const path = runPaths(this.runDir).placement;
    const earlier = readPlacement(path);
    const log = createLogger('scheduler', 'fatal');
    const numbers = new RevisionNumbers(earlier?.repository);
    const found = laneModels(config, (...files) => numbers.numberOf(...files));
    const gpus = { devices: [], driverVersion: null, problem: 'nothing asks for a GPU', mpsRuns: false };
    const facts: NodeFacts = { ...found, topology: topologyOfMachine(MACHINES.twoCpus), gpus };
    const placement = new PublishedPlacement(planNode(config, facts, HOLDS).placement, path);
    this.events = new RepositoryEvents(join(this.dir, 'events.jsonl'), log);
    const decisions = new ReleaseDecisions(join(this.dir, 'releases.json'), log);
    const releases = new ModelReleases(decisions, this.events, earlier?.releases ?? []);
    this.repository = new ModelRepository({
      config,
      placement,
      plan: revisionPlanner(config, facts, HOLDS),
      numbers,
      releases,
      events: this.events,
      observer: new Observer(this.runDir, ['api-1']),
      quarantine: {
        models: () => this.quarantined.map((model) => ({ ...model, reason: '', untilMs: 0, periodMs: 0, isUnloaded: true })),
        forget: () => this.quarantined.splice(0),
      },
      hasRunner: true,
      entries: facts.entries,
      earlier: isInUse ? earlier : null,
      log,
    });
    this.commands = new RepositoryCommands({ config, repository: this.repository, releases, numbers }).byPath();
  }

  async close(): Promise<void> {
    await this.repository.stop();
    await Promise.all([...this.servers.values()].map((server) => server.close()));
    rmSync(this.dir, { recursive: true });
  }

  placement(): Placement {
    const placement = readPlacement(runPaths(this.runDir).placement);
    if (placement === null) throw new Error('no placement was written');
    return placement;
  }

  version(name: string, version: string): PlacedVersion | undefined {
    return this.placement().versions?.find((placed) => placed.name === name && placed.version === version);
  }

  /** Revisions in the plan of a worker. */
  planned(workerId: string): number[] {
    return this.planOf(workerId).map(({ revision }) => revision);
  }

  private planOf(workerId: string): WorkerModelPlan[] {
    return this.placement().workers.find(({ id }) => id === workerId)?.models ?? [];
  }

  private statusOf(id: string): object {
    const saying = this.saying(id);
    if (WORKERS.includes(id)) {
      const models = this.planOf(id).map((plan) => reportOf(plan, saying));
      return {
        id,
        models,
        calibration: models.map(({ name, version, revision }) => ({ name, version, revision, state: saying.calibration })),
      };
    }
    const plans: Planned[] = [...WORKERS.flatMap((worker) => this.planOf(worker)), ...(this.placement().graphs ?? [])];
    const told = new Map(plans.map((plan) => [plan.revision, plan]));
    const bound = [...told.values()].filter((plan) => !saying.isLoading(plan));
    const models: RevisionBinding[] = bound.map((plan) => ({ revision: plan.revision, problem: saying.problemOf(plan) }));
    return { models, ...(id === 'runner' ? { pinnedRevisions: saying.pinned } : {}) };
  }
}

function reportOf(plan: WorkerModelPlan, { problemOf, isLoading }: Saying): Omit<ModelReport, 'signature' | 'cost'> {
  const reason = problemOf(plan);
  const state = isLoading(plan) ? 'loading' : reason === null ? 'ready' : 'failed';
  return { name: plan.name, version: plan.version, revision: plan.revision, state, reason };
}

/** Waits until `isTrue`; the test's timeout ends it. */
export async function until(isTrue: () => boolean): Promise<void> {
  while (!isTrue()) await new Promise((resolve) => setTimeout(resolve, 20));
}

import {
  ELSEWHERE,
  InterleaveError,
  RevisionGone,
  type GraphPlan,
  type InferenceBackend,
  type InferenceRequest,
  type ItemResult,
  type Lane,
  type ModelReport,
  type UnreadRequest,
} from '@app/contracts';
import type { ModelCatalog, PlacementSource } from '@app/models';
import { checkGraphItem } from './check-item';
import { pathsThrough } from './critical-path';
import { Graph, type GraphState, type Step, type StepReport } from './graph';
import { GraphRun, type OnStep, type RunStep } from './graph-run';
import { predictedItem } from './predicted-item';
import { joinRows, splitRows } from './rows';
import { runTextStep, textStepSignature } from './text-steps';

const NS_PER_MS = 1e6;

export interface GraphBackendOptions {
  /** Runs the models of steps, and all requests for other models. */
  steps: InferenceBackend & { readonly executorCount?: number };
  placement: PlacementSource;
  onStep?: OnStep;
}

type Wanted = Pick<InferenceRequest, 'model' | 'version' | 'revision'>;

/**
 * Runs graphs of models as if they were models: each step is a request to the workers of its model, so it is coalesced, queued and tried
 * again as any other. Which graphs there are the placement says. Every other request goes on as it is.
 */
export class GraphBackend implements InferenceBackend {
  /** By revision. */
  private graphs = new Map<number, Graph>();
  private states = new Map<number, GraphState>();
  private readonly listeners = new Set<() => void>();
  private texts: ModelCatalog | null = null;

  constructor(private readonly options: GraphBackendOptions) {
    const { steps, placement } = options;
    steps.onModelsChanged(() => this.changed());
    placement.onChange(() => this.changed());
    this.changed();
  }

  get lane(): Lane {
    return this.options.steps.lane;
  }

  get executorCount(): number {
    return this.options.steps.executorCount ?? 0;
  }

  models(): ModelReport[] {
    // What other nodes have is theirs: this node does not tell its callers, nor the fleet, that it had it.
    const own = this.options.steps.models().filter(({ revision }) => revision !== ELSEWHERE);
    return [...own, ...[...this.graphs.values()].map((graph) => this.reportOf(graph))];
  }

  onModelsChanged(listener: () => void): () => void {
    this.listeners.add(listener);
    return () => this.listeners.delete(listener);
  }

  async infer(request: InferenceRequest): Promise<(ItemResult | InterleaveError)[]> {
    const { steps } = this.options;
    const graph = this.graphOf(request);
    if (graph === null) return steps.infer(request);
    const { joined } = graph;
    const { state, reason } = this.stateOf(graph);
    const { name, version } = graph.plan;
    if (state === 'failed') throw new InterleaveError('model_not_servable', `model ${name} version ${version} cannot be served: ${reason}`);
    if (joined === null)
      throw new InterleaveError(
        'worker_unavailable',
        `model ${name} version ${version} is loading${reason === null ? '' : `: ${reason}`}; try again`,
        { retryAfterSeconds: 1 },
      );
    if (request.remoteFiles && request.remoteFiles !== graph.remoteFiles) throw new RevisionGone(name, version);
    for (const item of request.items) checkGraphItem(item, joined.signature);
    if (request.items.length === 0) return [];
    this.admit(graph, request);
    if (!graph.runsByRow) return this.run(graph, request);
    const rows = request.items.map((item) => splitRows(item, joined.signature));
    const results = await this.run(graph, { ...request, items: rows.flat() });
    return rows.map((own) => joinRows(results.splice(0, own.length)));
  }

  /** Where text becomes tokens and outputs become answers: the models of this process. */
  useTexts(models: ModelCatalog): void {
    this.texts = models;
    models.onChange(() => this.judge());
    this.judge();
  }

  checkAhead(request: UnreadRequest): number {
    const { steps } = this.options;
    const graph = request.model === null ? null : this.graphOf({ ...request, model: request.model });
    if (graph === null) return steps.checkAhead(request);
    return runOnWorkers(graph).reduce((sumNs, step) => sumNs + steps.checkAhead({ ...request, ...modelOf(step) }), 0);
  }

  predictedNs(request: Pick<InferenceRequest, 'model' | 'version' | 'revision' | 'items'>): number {
    const graph = this.graphOf(request);
    if (graph === null) return this.options.steps.predictedNs(request);
    return runOnWorkers(graph).reduce((sumNs, step) => sumNs + this.stepNs(graph, step, request.items), 0);
  }

  admittedItems(): number {
    return this.options.steps.admittedItems();
  }

  inFlightItems(): number {
    return this.options.steps.inFlightItems();
  }

  backlogMs(): number {
    return this.options.steps.backlogMs();
  }

  close(): Promise<void> {
    this.listeners.clear();
    return this.options.steps.close();
  }

  /** Executor time that a step is predicted to take, in ns; 0: not known. */
  private stepNs({ joined }: Graph, step: Step, items: InferenceRequest['items']): number {
    if (joined === null) return 0;
    const { model, version, revision } = step;
    return this.options.steps.predictedNs({ model, version, revision, items: items.map((item) => predictedItem(step, item, joined)) });
  }

  /** Null: no graph of the lane is meant. A revision that has gone is the word of the workers, who have none of it either. */
  private graphOf({ model, version, revision }: Wanted): Graph | null {
    const known = revision === undefined ? undefined : this.graphs.get(revision);
    if (known !== undefined) return known.plan.name === model ? known : null;
    if (revision !== undefined) return null;
    const named = [...this.graphs.values()].filter(({ plan }) => plan.name === model && (version ?? plan.version) === plan.version);
    return named.reduce<Graph | null>((best, graph) => (best === null || isNewer(graph.plan, best.plan) ? graph : best), null);
  }

  private stateOf({ plan }: Graph): GraphState {
    return this.states.get(plan.revision) ?? { state: 'loading', reason: null };
  }

  private reportOf(graph: Graph): ModelReport {
    const { name, version, revision } = graph.plan;
    return { name, version, revision, ...this.stateOf(graph), signature: graph.joined?.signature ?? null, cost: null };
  }

  private run(graph: Graph, request: InferenceRequest): Promise<(ItemResult | InterleaveError)[]> {
    const runStep: RunStep = (step, own) =>
      step.kind === 'model' ? this.options.steps.infer(own) : runTextStep(step, own.items, this.texts);
    return new GraphRun(graph, request, runStep, this.options.onStep ?? (() => undefined)).run();
  }

  /** Throws `overloaded` where the workers of a step have so much to do that the steps beside it on its way would come too late. */
  private admit(graph: Graph, request: InferenceRequest): void {
    const { steps } = this.options;
    const { items, timeoutMs, share } = request;
    if (timeoutMs === null) return;
    const ownMs = graph.steps.map((step) =>
      step.kind === 'model' ? this.stepNs(graph, step, items) / NS_PER_MS / Math.max(1, this.executorCount) : 0,
    );
    const pathMs = pathsThrough(graph, ownMs);
    for (const [i, step] of graph.steps.entries()) {
      if (step.kind !== 'model') continue;
      const leftMs = Math.max(1, timeoutMs - (pathMs[i] ?? 0) + (ownMs[i] ?? 0));
      steps.checkAhead({
        ...modelOf(step),
        timeoutMs: leftMs,
        bodyBytes: null,
        aheadNs: 0,
        itemsAhead: 0,
        ...(share !== undefined && { share }),
      });
    }
  }

  private changed(): void {
    const plans = (this.options.placement.placement?.graphs ?? []).filter(({ lanes }) => lanes.includes(this.lane));
    this.graphs = new Map(plans.map((plan) => [plan.revision, this.graphs.get(plan.revision) ?? new Graph(plan)]));
    this.states = this.statesNow();
    this.tell();
  }

  /** What a process knows of its texts comes after what workers say of the models. */
  private judge(): void {
    const states = this.statesNow();
    const isSame = [...states].every(([revision, { state, reason, remoteFiles }]) => {
      const before = this.states.get(revision);
      return before?.state === state && before.reason === reason && before.remoteFiles === remoteFiles;
    });
    this.states = states;
    if (!isSame) this.tell();
  }

  private statesNow(): Map<number, GraphState> {
    const reports = new Map(this.options.steps.models().map((report) => [keyOf(report), report]));
    const reportOf = (step: Step, steps: readonly Step[]): StepReport | undefined => {
      const report = reports.get(keyOf({ name: step.model, version: step.version, revision: step.revision }));
      if (step.kind === 'model' || report?.state === 'failed') return report;
      const signature = textStepSignature(step, steps, this.texts);
      if (signature === null) return undefined;
      return typeof signature === 'string'
        ? { state: 'failed', reason: signature, signature: null }
        : { state: 'ready', reason: null, signature };
    };
    const stateOf = (graph: Graph): GraphState => {
      const state = graph.judge((step) => reportOf(step, graph.steps));
      return graph.remoteFiles === undefined ? state : { ...state, remoteFiles: graph.remoteFiles };
    };
    return new Map([...this.graphs].map(([revision, graph]) => [revision, stateOf(graph)]));
  }

  private tell(): void {
    for (const listener of this.listeners) listener();
  }
}

const modelOf = ({ model, version, revision }: Step): { model: string; version: string; revision: number } => ({
  model,
  version,
  revision,
});

const runOnWorkers = ({ steps }: Graph): Step[] => steps.filter(({ kind }) => kind === 'model');

const keyOf = ({ name, version, revision }: Pick<ModelReport, 'name' | 'version' | 'revision'>): string =>
  `${name}\n${version}\n${revision}`;

function isNewer(plan: GraphPlan, other: GraphPlan): boolean {
  return Number(plan.version) - Number(other.version) > 0 || (plan.version === other.version && plan.revision > other.revision);
}

import {
  ELSEWHERE,
  type InferenceBackend,
  type InferenceItem,
  type InferenceRequest,
  InterleaveError,
  type ItemResult,
  type Lane,
  type ModelReport,
  type NodeHeartbeat,
  RevisionGone,
  TIMEOUT_MS_MAX,
  type Placement,
  type UnreadRequest,
} from '@app/contracts';
import { CONTENT_HEADER, inferCallMessage, type ModelDescription } from '@app/protocols';
import type { FleetModels } from './fleet-models';
import type { WantedModel } from './fleet-nodes';
import { readAnswer } from './read-answer';

const POLL_MS = 1_000;
/** Rows of batches have no deadline, but a call needs one. */
const BATCH_CALL_MS = 60_000;

export interface FleetBackendOptions {
  /** The workers of this node. */
  own: InferenceBackend & { readonly executorCount?: number };
  /** Says which steps of graphs run elsewhere. */
  placement: { readonly placement: Placement | null; onChange(listener: () => void): unknown };
  models: FleetModels;
}

/**
 * Runs steps of graphs whose models are on other nodes of the fleet there, by gRPC; all else on this node. Its reports name models of other
 * nodes with the revision `ELSEWHERE`. Closing closes the workers, and the way to other nodes with the last backend that has it.
 */
export class FleetBackend implements InferenceBackend {
  private readonly listeners = new Set<() => void>();
  private readonly leave: () => void;
  private readonly timer = setInterval(() => this.look(), POLL_MS).unref();

  constructor(private readonly options: FleetBackendOptions) {
    this.leave = options.models.join(() => this.tell());
    options.own.onModelsChanged(() => this.tell());
    options.placement.onChange(() => this.look());
    this.look();
  }

  get lane(): Lane {
    return this.options.own.lane;
  }

  get executorCount(): number {
    return this.options.own.executorCount ?? 0;
  }

  models(): ModelReport[] {
    return [...this.options.own.models(), ...this.options.models.reports()];
  }

  onModelsChanged(listener: () => void): () => void {
    this.listeners.add(listener);
    return () => this.listeners.delete(listener);
  }

  async infer(request: InferenceRequest): Promise<(ItemResult | InterleaveError)[]> {
    if (request.revision !== ELSEWHERE) return this.options.own.infer(request);
    const { model: name, version, items, runAlone = false, timeoutMs, signal } = request;
    if (runAlone)
      throw new InterleaveError(
        'not_supported',
        `model ${name} runs on another node, which may run rows together; expected a model of this node where rows must run alone`,
      );
    if (signal?.aborted === true) throw new InterleaveError('client_closed', 'the caller has gone');
    if (timeoutMs !== null && timeoutMs <= 0) throw new InterleaveError('deadline_exceeded', 'the time for the answer is over');
    const wanted = { name, version: version ?? '' };
    // One for all items: nodes may have different files under one version, and get others.
    const described = this.options.models.chosen(wanted);
    if (request.remoteFiles && described !== null && described.content !== request.remoteFiles) {
      this.look(); // what is reported may be behind what heartbeats say
      throw new RevisionGone(name, wanted.version);
    }
    return Promise.all(items.map((item) => this.inferItem({ wanted, described }, item, request).catch(asInterleaveError)));
  }

  checkAhead(request: UnreadRequest): number {
    return request.revision === ELSEWHERE ? 0 : this.options.own.checkAhead(request);
  }

  predictedNs(request: Pick<InferenceRequest, 'model' | 'version' | 'revision' | 'items'>): number {
    return request.revision === ELSEWHERE ? 0 : this.options.own.predictedNs(request);
  }

  admittedItems(): number {
    return this.options.own.admittedItems();
  }

  inFlightItems(): number {
    return this.options.own.inFlightItems();
  }

  backlogMs(): number {
    return this.options.own.backlogMs();
  }

  async close(): Promise<void> {
    clearInterval(this.timer);
    this.listeners.clear();
    this.leave();
    await this.options.own.close();
  }

  /** `described`: what is run, by the same files for all items of the request; null: no node was known to have the model. */
  private async inferItem(
    { wanted, described }: { wanted: WantedModel; described: ModelDescription | null },
    item: InferenceItem,
    request: InferenceRequest,
  ): Promise<ItemResult> {
    const startedMs = performance.now();
    const { timeoutMs, signal, priority } = request;
    const callMs = timeoutMs ?? BATCH_CALL_MS;
    const metadata = {
      'x-interleave-timeout-ms': String(Math.min(Math.ceil(callMs), TIMEOUT_MS_MAX)), // else the other node's default would hold
      'x-interleave-priority': String(priority),
      'x-interleave-degrade': 'never', // a step is this model's, and not its stand-in's
      ...(described?.content && { [CONTENT_HEADER]: described.content }),
      ...(this.lane === 'batch' && { 'x-interleave-service-tier': 'flex' }),
    };
    const message = inferCallMessage(wanted.name, wanted.version, item);
    const call = this.options.models.nodes.call(
      {
        ...{ lane: this.lane, wanted, method: 'ModelInfer', message },
        among: (nodes) => this.among(nodes, wanted, described),
        read: (answer, node) => (described === null ? [] : readAnswer(answer, node, item, described.signature)),
        onMissing: (node) => this.options.models.askAgain(wanted, node),
      },
      { timeoutMs: callMs, signal, metadata },
    );
    const outputs = await (timeoutMs === null ? call.catch(tooLong) : call);
    const runUs = Math.round((performance.now() - startedMs) * 1000);
    return { outputs, timing: { queueUs: 0, runUs, runRows: 1, startedNs: 0 } };
  }

  /** Throws `RevisionGone` once the model is another one than the request began with. */
  private among(nodes: NodeHeartbeat[], wanted: WantedModel, described: ModelDescription | null): NodeHeartbeat[] {
    const now = this.options.models.chosen(wanted);
    if (now !== null && now.content !== described?.content) throw new RevisionGone(wanted.name, wanted.version);
    return described === null ? [] : nodes.filter((node) => this.options.models.has(wanted, node, described));
  }

  private look(): void {
    const steps = (this.options.placement.placement?.graphs ?? []).flatMap((graph) => graph.steps);
    const elsewhere = steps.filter(({ revision }) => revision === ELSEWHERE);
    this.options.models.nodes.forgetGone();
    this.options.models.want(elsewhere.map(({ model: name, version }) => ({ name, version })));
  }

  private tell(): void {
    for (const listener of this.listeners) listener();
  }
}

/** What has no deadline of its own is tried again. */
function tooLong(error: unknown): never {
  if (!(error instanceof InterleaveError) || error.code !== 'deadline_exceeded') throw error;
  throw new InterleaveError('worker_unavailable', error.message, { cause: error, retryAfterSeconds: 1 });
}

function asInterleaveError(error: unknown): InterleaveError {
  if (error instanceof InterleaveError) return error;
  return new InterleaveError('internal', 'a run on another node failed', { cause: error });
}

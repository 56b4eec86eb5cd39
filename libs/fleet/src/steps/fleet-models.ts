import { ELSEWHERE, type InterleaveError, type ModelReport, type NodeHeartbeat } from '@app/contracts';
import { CONTENT_HEADER, modelCallMessage, readDescription, type ModelDescription } from '@app/protocols';
import type { FleetNodes, WantedModel } from './fleet-nodes';

const ASK_MS = 2_000;
/** A node may get other files for the same version. */
const FRESH_MS = 10_000;
const PROBLEM_FRESH_MS = 1_000;

/** `isFinal`: the model cannot be used as it is. */
type Answer = { model: ModelDescription } | { problem: string; isFinal: boolean };
type Asked = Answer & { atMs: number };

/** Which models of other nodes there are, as far as graphs of this node want them. All lanes of a process share one, and so agree. */
export class FleetModels {
  private readonly listeners = new Set<() => void>();
  private wanted: readonly WantedModel[] = [];
  /** What nodes said of models, by model and node. */
  private readonly asked = new Map<string, Asked>();
  private readonly asking = new Set<string>();
  private told = '';

  constructor(readonly nodes: FleetNodes) {}

  /** `listener` is called after every change. Returns the way to leave; the last one who leaves ends the connections. */
  join(listener: () => void): () => void {
    this.listeners.add(listener);
    return () => {
      if (this.listeners.delete(listener) && this.listeners.size === 0) this.nodes.close();
    };
  }

  /** Call it often: it notes what has changed, and asks nodes that were not asked lately. */
  want(models: readonly WantedModel[]): void {
    this.wanted = [...new Map(models.map((model) => [nameOf(model), model])).values()];
    const current = new Set<string>();
    for (const model of this.wanted)
      for (const node of this.nodes.serving(model) ?? []) {
        const key = keyOf(model, node);
        current.add(key);
        if (isStale(this.asked.get(key)) && !this.asking.has(key)) void this.ask(model, node);
      }
    for (const key of this.asked.keys()) if (!current.has(key)) this.asked.delete(key);
    this.compare();
  }

  reports(): ModelReport[] {
    return this.wanted.map((model) => this.reportOf(model));
  }

  /**
   * The model that is reported: that of the first node by id, so that all API processes take the same one where nodes differ. Null: none is
   * known.
   */
  chosen(model: WantedModel): ModelDescription | null {
    const nodes = [...(this.nodes.serving(model) ?? [])].sort((left, right) => (left.id < right.id ? -1 : 1));
    for (const node of nodes) {
      const asked = this.asked.get(keyOf(model, node));
      if (asked !== undefined && 'model' in asked) return asked.model;
    }
    return null;
  }

  /** Whether the node has this model, and no other one under its name and version. */
  has(model: WantedModel, node: NodeHeartbeat, description: ModelDescription): boolean {
    const asked = this.asked.get(keyOf(model, node));
    return asked !== undefined && 'model' in asked && isEqual(asked.model, description);
  }

  /** For a node whose model is not what it said. */
  askAgain(model: WantedModel, node: NodeHeartbeat): void {
    if (!this.asking.has(keyOf(model, node))) void this.ask(model, node);
  }

  private reportOf(model: WantedModel): ModelReport {
    const report = { ...model, revision: ELSEWHERE, signature: null, cost: null };
    const serving = this.nodes.serving(model);
    const what = `${model.name} version ${model.version}`;
    if (serving === null)
      return { ...report, state: 'failed', reason: `${what} is not on this node, which is in no fleet; set REDIS_URL, or add the model` };
    // Not `failed`, which would end the rows of batches while the only node with the model starts anew.
    if (serving.length === 0)
      return { ...report, state: 'loading', reason: `no node of the fleet serves ${what}; start one with it, or add the model here` };
    const chosen = this.chosen(model);
    if (chosen !== null)
      return {
        ...report,
        state: 'ready',
        reason: null,
        signature: chosen.signature,
        ...(chosen.content && { remoteFiles: chosen.content }),
      };
    const problem = serving.map((node) => this.asked.get(keyOf(model, node))).find((asked) => asked !== undefined && 'problem' in asked);
    if (problem !== undefined && 'problem' in problem)
      return { ...report, state: problem.isFinal ? 'failed' : 'loading', reason: problem.problem };
    return { ...report, state: 'loading', reason: null };
  }

  private async ask(model: WantedModel, node: NodeHeartbeat): Promise<void> {
    const key = keyOf(model, node);
    this.asking.add(key);
    const found = await this.askNow(model, node);
    const known = this.asked.get(key);
    this.asking.delete(key);
    // Who does not answer for a moment still has what it had: its heartbeat says whether it is there.
    const isKept = 'problem' in found && !found.isFinal && known !== undefined && 'model' in known;
    this.asked.set(key, { ...(isKept ? known : found), atMs: performance.now() });
    this.compare();
  }

  private async askNow({ name, version }: WantedModel, node: NodeHeartbeat): Promise<Answer> {
    const message = modelCallMessage(name, version);
    const options = { timeoutMs: ASK_MS, signal: null, metadata: { [CONTENT_HEADER]: 'tell' } };
    try {
      const client = this.nodes.clientOf(node);
      const [metadata, config] = await Promise.all(['ModelMetadata', 'ModelConfig'].map((method) => client.call(method, message, options)));
      const found = readDescription(metadata as Buffer, config as Buffer);
      if (found?.content === null)
        return {
          problem: `node ${node.id} does not say which files of ${name} it has; upgrade it, or wait while they change`,
          isFinal: false,
        };
      if (found !== null) return { model: found };
      return { problem: `node ${node.id}: ${name} is a graph of models there; name the models of its steps in its place`, isFinal: true };
    } catch (error) {
      const { message, code } = error as InterleaveError;
      return { problem: message, isFinal: code === 'model_not_servable' };
    }
  }

  private compare(): void {
    const now = JSON.stringify(this.reports());
    if (now === this.told) return;
    this.told = now;
    for (const listener of this.listeners) listener();
  }
}

function isStale(asked: Asked | undefined): boolean {
  if (asked === undefined) return true;
  return performance.now() - asked.atMs > ('problem' in asked ? PROBLEM_FRESH_MS : FRESH_MS);
}

const isEqual = (left: ModelDescription, right: ModelDescription): boolean => JSON.stringify(left) === JSON.stringify(right);

const nameOf = ({ name, version }: WantedModel): string => `${name}\n${version}`;

const keyOf = (model: WantedModel, { bootId, grpcPort }: NodeHeartbeat): string => `${nameOf(model)}\n${bootId}\n${grpcPort}`;

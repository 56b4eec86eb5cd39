import { InterleaveError, type ErrorCode, type InferenceBackend, type InferenceItem } from '@app/contracts';
import type { ModelPin } from '@app/batches';
import { visibleModels, type ModelView, type ServedModel } from '@app/models';
import { allSucceeded, prepare, prepareBulk, runItems, type Endpoint, type Limits } from '@app/protocols';
import { answerTexts, type TextAnswer, type TextRun } from './blocks/answer-texts';
import type { ModelPins } from './model-pins';
import { RowCosts } from './row-costs';

const NS_PER_S = 1e9;
/** What a row is refused with where its model is not there now. */
const OF_MODEL: ReadonlySet<ErrorCode> = new Set<ErrorCode>(['worker_unavailable', 'model_not_servable']);

/** One row on its way through the lane. */
export interface RowRequest {
  endpoint: Endpoint;
  /** The `body` of the line. */
  body: unknown;
  /** As `InferenceRequest.runAlone`. */
  runAlone: boolean;
  /** The files that answer it; null: those of the model that it names, as they are now. */
  pin: ModelPin | null;
  /** A vector comes in Base64, a quarter of its text, where the body does not say how. */
  packsVectors: boolean;
}

/** What the texts of a block have in common. */
export type BlockRun = Pick<TextRun, 'known' | 'signal' | 'onAnswered'>;

export interface RowCost {
  /** Of one executor, in good runs; 0: not known. */
  seconds: number;
  /** Tokens of each of its inputs; empty where inputs have no lengths. */
  lengths: readonly number[];
}

/** Turns the body of a row into the body of its answer. */
export interface RowEngine {
  /**
   * Rejects with an `InterleaveError` for a row that cannot be answered, with `worker_unavailable` or `overloaded` for
   * one that could later, and soon after `signal` is aborted.
   */
  answer(request: RowRequest, signal: AbortSignal): Promise<object>;
  /**
   * As `answer` for each body like that of `request` with one of these texts, in their order; what `answer` would reject with is among
   * the answers. Null: such rows are answered one by one. Rejects where all are refused. Absent: it takes rows one by one only.
   */
  answerTexts?(request: RowRequest, texts: readonly string[], run: BlockRun): Promise<TextAnswer[] | null>;
  /** What a row is predicted to take, by the cost tables of the workers. Rejects for a row that cannot be prepared. */
  predict(request: Pick<RowRequest, 'endpoint' | 'body' | 'pin'>): Promise<RowCost>;
  /** Of the batch lane of this node. */
  executorCount(): number;
  /**
   * How long a row of the model keeps an executor, as measured, in seconds. Model null, or one of which none ran: of all rows; 0: none
   * ran.
   */
  secondsPerRow(model: string | null): number;
  /**
   * The files that answer a batch that begins now. Throws an `InterleaveError`: `worker_unavailable` while they cannot be told.
   * Version null: the one that live requests get.
   */
  pin(model: string, version: string | null, models: readonly string[] | null): Promise<ModelPin>;
  /** Null when this node has these files; else what is there instead. */
  pinProblem(pin: ModelPin): Promise<string | null>;
  /** The revisions that these pins mean on this node, as far as they were asked for. */
  pinnedRevisions(pins: readonly ModelPin[]): number[];
  /**
   * Null when the model can be served or may become ready; else why not. Version null: any. Those that are not in `models` are not
   * there; null: all are.
   */
  modelProblem(model: string, version: string | null, models: readonly string[] | null): { code: string; message: string } | null;
}

/** Rows answered by the models of the repository, on the workers of the batch lane. */
export class ModelEngine implements RowEngine {
  private readonly costs = new RowCosts();

  constructor(
    private readonly catalog: ModelView,
    private readonly backend: InferenceBackend & { readonly executorCount?: number },
    private readonly limits: Limits,
    private readonly pins: ModelPins,
  ) {}

  async answerTexts(request: RowRequest, texts: readonly string[], run: BlockRun): Promise<TextAnswer[] | null> {
    const { runAlone } = request;
    const models = this.modelsFor(request.pin);
    const bulk = prepareBulk(request.endpoint, bodyFor(request, models), models);
    if (bulk === null) return null;
    const onRan = (executorNs: number, rows: number): void => this.costs.observe(bulk.model.name, executorNs / rows, rows);
    return answerTexts(this.backend, bulk, texts, { ...run, runAlone, onRan });
  }

  async answer(request: RowRequest, signal: AbortSignal): Promise<object> {
    const { pin } = request;
    try {
      return await this.answerNow(request, signal);
    } catch (error) {
      if (pin === null || !(error instanceof InterleaveError) || !OF_MODEL.has(error.code)) throw error;
      // Workers do not tell what passes from what does not, and the files may have another number now.
      await this.pins.find(pin);
      this.pins.served(pin);
      throw new InterleaveError('worker_unavailable', error.message, { retryAfterSeconds: 1 });
    }
  }

  private async answerNow(request: RowRequest, signal: AbortSignal): Promise<object> {
    const { endpoint, runAlone, pin } = request;
    const models = this.modelsFor(pin);
    const prepared = await prepare(endpoint, bodyFor(request, models), null, models, this.limits);
    // A row waits as long as it takes, whatever its body says: the deadline of a batch is its completion window.
    let ranNs = 0;
    const onRan = (executorNs: number): void => void (ranNs += executorNs);
    const results = await runItems(
      this.backend,
      { ...prepared, runAlone },
      { timeoutMs: null, priority: prepared.priority, signal, onRan },
    );
    const answer = await prepared.respond(allSucceeded(results));
    this.costs.observe(prepared.model, ranNs);
    if (answer.kind === 'json') return answer.body;
    throw new InterleaveError(
      'invalid_request',
      'expected JSON outputs for parameters.binary_data_output but the row asks for binary ones; a batch answers in JSON',
      { param: 'parameters' },
    );
  }

  async predict({ endpoint, body, pin }: Pick<RowRequest, 'endpoint' | 'body' | 'pin'>): Promise<RowCost> {
    const prepared = await prepare(endpoint, body, null, this.modelsFor(pin), this.limits);
    if (prepared.items.length === 0) return { seconds: 0, lengths: [] };
    return { seconds: this.backend.predictedNs(prepared) / NS_PER_S, lengths: prepared.items.flatMap(lengthOf) };
  }

  executorCount(): number {
    return this.backend.executorCount ?? 0;
  }

  pin(model: string, version: string | null, models: readonly string[] | null): Promise<ModelPin> {
    return this.pins.pin(model, version, models);
  }

  pinProblem(pin: ModelPin): Promise<string | null> {
    return this.pins.problem(pin);
  }

  private modelsFor(pin: ModelPin | null): ModelView {
    return pin === null ? this.catalog : pinnedTo(this.catalog, this.pins.served(pin));
  }

  pinnedRevisions(pins: readonly ModelPin[]): number[] {
    return [...new Set(pins.flatMap((pin) => this.pins.revisionOf(pin) ?? []))];
  }

  secondsPerRow(model: string | null): number {
    return this.costs.secondsPerRow(model);
  }

  modelProblem(model: string, version: string | null, models: readonly string[] | null): { code: string; message: string } | null {
    try {
      const entries = visibleModels(this.catalog, models).entriesOf(model, version);
      if (entries.some(({ state }) => state !== 'failed')) return null;
      const named = version === null ? JSON.stringify(model) : `${JSON.stringify(model)} version ${version}`;
      return { code: 'model_not_servable', message: `Model ${named} cannot be served: ${entries[0]?.reason ?? 'unknown reason'}` };
    } catch (error) {
      if (error instanceof InterleaveError) return { code: error.code, message: error.message };
      throw error;
    }
  }
}

function bodyFor({ endpoint, body, packsVectors }: RowRequest, models: ModelView): unknown {
  if (!packsVectors || endpoint.kind !== 'embeddings' || typeof body !== 'object' || body === null) return body;
  const { model, encoding_format: encoding = null } = body as { model?: unknown; encoding_format?: unknown };
  if (encoding !== null || typeof model !== 'string' || models.find(model, null).task !== 'embedding') return body;
  return { ...body, encoding_format: 'base64' };
}

/** Tokens of an item, by its widest input of rows and lengths. */
function lengthOf({ inputs }: InferenceItem): number[] {
  const lengths = inputs.filter(({ shape }) => shape.length === 2).map(({ shape }) => shape[1] ?? 0);
  return lengths.length === 0 ? [] : [Math.max(...lengths)];
}

/** The models as the rows of one batch see them: by whatever label they call theirs, it is these files. */
function pinnedTo(models: ModelView, served: ServedModel): ModelView {
  const isMeant = (name: string): boolean => name === served.name || name.startsWith(`${served.name}:`);
  return {
    list: () => models.list(),
    entriesOf: (name, version) => models.entriesOf(name, version),
    find: (name, version, user) => (isMeant(name) ? served : models.find(name, version, user)),
    policyOf: (name, version) => models.policyOf(name, version),
    ofRevision: (revision) => models.ofRevision(revision),
  };
}

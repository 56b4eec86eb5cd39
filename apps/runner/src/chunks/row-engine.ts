import { InterleaveError, type InferenceBackend } from '@app/contracts';
import { splitLabel, visibleModels, type ModelView } from '@app/models';
import { allSucceeded, prepare, runItems, type Endpoint, type Limits } from '@app/protocols';
import { RowCosts } from './row-costs';

/** One row on its way through the lane. */
export interface RowRequest {
  endpoint: Endpoint;
  /** The `body` of the line. */
  body: unknown;
  /** As `InferenceRequest.runAlone`. */
  runAlone: boolean;
}

/** Turns the body of a row into the body of its answer. */
export interface RowEngine {
  /**
   * Rejects with an `InterleaveError` for a row that cannot be answered, with `worker_unavailable` or `overloaded` for
   * one that could later, and soon after `signal` is aborted.
   */
  answer(request: RowRequest, signal: AbortSignal): Promise<object>;
  /** How long a row of the model keeps an executor, as measured, in seconds. Model null, or one of which none ran: of all rows; 0: none ran. */
  secondsPerRow(model: string | null): number;
  /** Null when the model can be served or may become ready; else why not. Version null: any. Those that are not in `models` are not there; null: all are. */
  modelProblem(model: string, version: string | null, models: readonly string[] | null): { code: string; message: string } | null;
}

/** Rows answered by the models of the repository, on the workers of the batch lane. */
export class ModelEngine implements RowEngine {
  private readonly costs = new RowCosts();

  constructor(
    private readonly catalog: ModelView,
    private readonly backend: InferenceBackend,
    private readonly limits: Limits,
  ) {}

  async answer({ endpoint, body, runAlone }: RowRequest, signal: AbortSignal): Promise<object> {
    const prepared = await prepare(endpoint, body, null, this.catalog, this.limits);
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

  secondsPerRow(model: string | null): number {
    return this.costs.secondsPerRow(model);
  }

  modelProblem(model: string, version: string | null, models: readonly string[] | null): { code: string; message: string } | null {
    const entries = visibleModels(this.catalog, models)
      .list()
      .filter((entry) => entry.name === splitLabel(model).model && (version === null || entry.version === version));
    const named =
      version === null ? JSON.stringify(model.slice(0, 128)) : `${JSON.stringify(model.slice(0, 128))} version ${version.slice(0, 32)}`;
    if (entries.length === 0)
      return { code: 'model_not_found', message: `There is no model ${named}; GET /v1/models lists those that exist.` };
    if (entries.some(({ state }) => state !== 'failed')) return null;
    return { code: 'model_not_servable', message: `Model ${named} cannot be served: ${entries[0]?.reason ?? 'unknown reason'}` };
  }
}

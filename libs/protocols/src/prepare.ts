import { InterleaveError, type CancelSignal, type InferenceBackend, type InferenceRequest, type ItemResult } from '@app/contracts';
import type { ModelCatalog } from '@app/models';
import { prepareEmbeddings } from './embeddings';
import { prepareInfer } from './open-inference';
import { preparePredict } from './predict';
import type { BinaryPart, Endpoint, Limits, PreparedRequest, ResponseBody } from './types';

/** What the lane decides about a run. */
type RunOptions = Pick<InferenceRequest, 'timeoutMs' | 'priority' | 'signal' | 'bodyBytes'>;

/**
 * Checks and tokenizes the body of any predict endpoint. `body` is parsed JSON (`parseJsonBody`, or `splitInferBody`
 * for Open Inference), `binary` the binary tensor extension's part. Rejects with an `InterleaveError` that names the
 * field, what was expected and what came.
 */
export async function prepare(
  endpoint: Endpoint,
  body: unknown,
  binary: BinaryPart | null,
  catalog: ModelCatalog,
  limits: Limits,
): Promise<PreparedRequest> {
  if (endpoint.kind === 'embeddings') return prepareEmbeddings(body, catalog, limits);
  const model = catalog.find(endpoint.model ?? '', endpoint.version);
  return endpoint.kind === 'predict' ? preparePredict(body, model, limits) : prepareInfer(body, binary, model, limits);
}

/**
 * Runs a prepared request on one lane's workers and answers it. Rejects with an `InterleaveError` when the request is
 * refused or when any of its items fails: the answer is whole or there is none.
 */
export async function runPrepared(
  backend: InferenceBackend,
  prepared: PreparedRequest,
  signal: CancelSignal | null,
): Promise<ResponseBody> {
  const { timeoutMs, priority } = prepared;
  return prepared.respond(allSucceeded(await runItems(backend, prepared, { timeoutMs, priority, signal })));
}

/** The first half of `runPrepared`, for a lane that times the parts: what the workers made of each item. Rejects when they refuse all. */
export function runItems(
  backend: InferenceBackend,
  { model, version, items, runAlone }: Omit<PreparedRequest, 'respond'>,
  { timeoutMs, priority, signal, bodyBytes }: RunOptions,
): Promise<(ItemResult | InterleaveError)[]> {
  return backend.infer({ model, version, items, timeoutMs, priority, signal, runAlone, bodyBytes });
}

/** What `PreparedRequest.respond` takes; throws the error of the first item that failed. */
export function allSucceeded(results: (ItemResult | InterleaveError)[]): ItemResult[] {
  return results.map(succeeded);
}

function succeeded(result: ItemResult | InterleaveError): ItemResult {
  if (result instanceof InterleaveError) throw result;
  return result;
}

import { InterleaveError, type CancelSignal, type InferenceBackend, type InferenceRequest, type ItemResult } from '@app/contracts';
import type { ModelView } from '@app/models';
import type { Bulk, BulkPreparer } from './bulk';
import { expectObject } from './checks';
import { classifyBulk, prepareClassify } from './classify';
import { embeddingsBulk, prepareEmbeddings } from './embeddings';
import { prepareInfer } from './open-inference';
import { predictBulk, preparePredict } from './predict';
import { prepareRerank } from './rerank';
import { prepareDetokenize, prepareTokenize } from './tokenize';
import type { BinaryPart, Endpoint, Limits, PreparedItems, PreparedRequest, ResponseBody } from './types';

/** Endpoints whose model is in the body. */
const PREPARE: Record<
  Exclude<Endpoint['kind'], 'predict' | 'open-inference'>,
  (body: unknown, catalog: ModelView, limits: Limits) => Promise<PreparedRequest>
> = {
  embeddings: prepareEmbeddings,
  rerank: prepareRerank,
  classify: prepareClassify,
  tokenize: prepareTokenize,
  detokenize: prepareDetokenize,
};

/** Endpoints that take bodies of one text in bulk. */
const BULK: Partial<Record<Endpoint['kind'], BulkPreparer>> = { embeddings: embeddingsBulk, classify: classifyBulk, predict: predictBulk };

/** What the lane decides about a run. */
type RunOptions = Pick<InferenceRequest, 'timeoutMs' | 'priority' | 'signal' | 'bodyBytes' | 'share' | 'onRan'>;

/**
 * Checks and tokenizes the body of any predict endpoint. `body` is parsed JSON (`parseJsonBody`, or `splitInferBody`
 * for Open Inference), `binary` the binary tensor extension's part. Rejects with an `InterleaveError` that names the
 * field, what was expected and what came.
 */
export async function prepare(
  endpoint: Endpoint,
  body: unknown,
  binary: BinaryPart | null,
  catalog: ModelView,
  limits: Limits,
): Promise<PreparedRequest> {
  if (endpoint.kind !== 'predict' && endpoint.kind !== 'open-inference') return PREPARE[endpoint.kind](body, catalog, limits);
  const model = catalog.find(endpoint.model ?? '', endpoint.version);
  return endpoint.kind === 'predict' ? preparePredict(body, model, limits) : prepareInfer(body, binary, model, limits);
}

/**
 * Checks what bodies have in common that differ in their one text only. Null: they are prepared one by one. Throws an
 * `InterleaveError` where `prepare` rejects whatever the text is.
 */
export function prepareBulk(endpoint: Endpoint, body: unknown, catalog: ModelView): Bulk | null {
  return BULK[endpoint.kind]?.(expectObject(body, 'body'), catalog, endpoint) ?? null;
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

/**
 * The first half of `runPrepared`, for a lane that times the parts: what the workers made of each item. Rejects when they
 * refuse all. A request without items, such as one to tokenize, asks no worker.
 */
export async function runItems(
  backend: InferenceBackend,
  { model, version, revision, remoteFiles, items, runAlone }: PreparedItems,
  { timeoutMs, priority, signal, bodyBytes, share, onRan }: RunOptions,
): Promise<(ItemResult | InterleaveError)[]> {
  if (items.length === 0) return [];
  return backend.infer({ model, version, revision, remoteFiles, items, timeoutMs, priority, signal, runAlone, bodyBytes, share, onRan });
}

/** What `PreparedRequest.respond` takes; throws the error of the first item that failed. */
export function allSucceeded(results: (ItemResult | InterleaveError)[]): ItemResult[] {
  return results.map(succeeded);
}

function succeeded(result: ItemResult | InterleaveError): ItemResult {
  if (result instanceof InterleaveError) throw result;
  return result;
}

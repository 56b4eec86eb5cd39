import type { Endpoint, EndpointKind } from './types';

const PREDICT = /^\/v1\/models\/([^/]+?)(?:\/versions\/([^/:]+))?:predict$/;
const INFER = /^\/v2\/models\/([^/]+)(?:\/versions\/([^/]+))?\/infer$/;

/** Endpoints whose model is in the body, by path. */
const BODY_ENDPOINTS: ReadonlyMap<string, EndpointKind> = new Map([
  ['/v1/embeddings', 'embeddings'],
  ['/v1/rerank', 'rerank'],
  ['/v2/rerank', 'rerank'],
  ['/rerank', 'rerank'],
  ['/v1/classify', 'classify'],
  ['/v1/tokenize', 'tokenize'],
  ['/v1/detokenize', 'detokenize'],
]);
/** Every endpoint, as a caller may be told. */
export const ENDPOINT_PATHS: readonly string[] = [...BODY_ENDPOINTS.keys(), '/v1/models/<model>:predict', '/v2/models/<model>/infer'];

/** The words that follow a model's name in paths; a second part of a name that is one of them has to be percent-encoded. */
const ORGANISATION =
  /^(\/v[12]\/(?:repository\/)?models\/[A-Za-z0-9][A-Za-z0-9._-]*)\/(?!(?:versions|infer|ready|config|stats|trace|generate|generate_stream|load|unload)(?:[/?]|$))(?=[A-Za-z0-9])/;

/** The same URL with `<organisation>/<model>` as one part of the path, as `<organisation>%2F<model>`. */
export function joinOrganisation(url: string): string {
  return url.replace(ORGANISATION, '$1%2F');
}

/**
 * Recognises the endpoints that answer with a model, by path; a query string is ignored. Null for any other path. The model's name
 * is decoded but not checked: it is only ever looked up.
 */
export function parseEndpoint(url: string): Endpoint | null {
  const path = joinOrganisation(url.split('?', 1)[0] as string);
  const kind = BODY_ENDPOINTS.get(path);
  if (kind !== undefined) return { kind, model: null, version: null };
  const predict = PREDICT.exec(path);
  if (predict !== null) return modelEndpoint('predict', predict);
  const infer = INFER.exec(path);
  return infer === null ? null : modelEndpoint('open-inference', infer);
}

function modelEndpoint(kind: Endpoint['kind'], match: RegExpExecArray): Endpoint | null {
  try {
    const [model, version] = [match[1], match[2]].map((part) => (part === undefined ? null : decodeURIComponent(part)));
    return { kind, model: model ?? null, version: version ?? null };
  } catch {
    return null; // a percent sign that encodes nothing: no such path
  }
}

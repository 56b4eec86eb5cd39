import type { ResponseBody } from '@app/protocols';
import type { LiveEndpoint } from '../live/live-call';

interface Data {
  predictions?: unknown[];
  data?: { embedding?: unknown; predictions?: unknown }[];
  results?: { index: number; relevance_score: number }[];
}

/**
 * What an answer of a task's endpoint says of each row, in the form of `:predict`; null: it has no such rows. Where a
 * caller asked for the best documents only, the others have no row.
 */
export function answerRows(endpoint: LiveEndpoint, response: ResponseBody): unknown[] | null {
  if (response.kind !== 'json') return null;
  const body = response.body as Data;
  switch (endpoint) {
    case 'predict':
      return body.predictions ?? null;
    case 'embeddings':
      return body.data?.map(({ embedding }) => (typeof embedding === 'string' ? fromBase64(embedding) : embedding)) ?? null;
    case 'classify':
      return body.data?.map(({ predictions }) => predictions) ?? null;
    case 'rerank':
      return documentRows(response.body);
    default:
      return null;
  }
}

/** Little-endian float32. */
function fromBase64(text: string): number[] {
  const bytes = Buffer.from(text, 'base64');
  return Array.from({ length: Math.floor(bytes.length / 4) }, (_, i) => bytes.readFloatLE(i * 4));
}

/** By the place of the document, in either shape of the answer. */
function documentRows(body: object): unknown[] {
  const ranked: { index: number; relevance_score?: number; score?: number }[] = Array.isArray(body) ? body : ((body as Data).results ?? []);
  const rows: unknown[] = [];
  for (const { index, relevance_score: relevance, score } of ranked) rows[index] = { score: relevance ?? score };
  return Array.from(rows);
}

import { DOUBLE, DuckDBListValue, FLOAT, LIST, VARCHAR, type DuckDBType, type DuckDBValue } from '@duckdb/node-api';
import type { EndpointKind } from '@app/protocols';

/** Null, or why the row has no answer. */
export const ERROR_COLUMN = 'error';

/** The cells of a row's answer. */
export interface AnswerColumns {
  types: Readonly<Record<string, DuckDBType>>;
  /** In the order of `types`, of the body of an answer; null: the answer has another form. */
  cellsOf: (body: unknown) => DuckDBValue[] | null;
}

interface Scored {
  label?: unknown;
  score?: unknown;
}

const isScore = (value: unknown): value is Scored & { score: number } => typeof (value as Scored | null)?.score === 'number';

const FORMS = {
  labels: {
    types: { label: VARCHAR, score: DOUBLE },
    cellsOf: (value: unknown): DuckDBValue[] | null =>
      isScore(value) && typeof value.label === 'string' ? [value.label, value.score] : null,
  },
  score: {
    types: { score: DOUBLE },
    cellsOf: (value: unknown): DuckDBValue[] | null => (isScore(value) ? [value.score] : null),
  },
  embedding: {
    types: { embedding: LIST(FLOAT) },
    // A list value asks no more of its items than a length and places.
    cellsOf: (value: unknown): DuckDBValue[] | null => (isVector(value) ? [new DuckDBListValue(value as number[])] : null),
  },
  result: {
    types: { result: VARCHAR },
    cellsOf: (value: unknown): DuckDBValue[] | null => [JSON.stringify(value)],
  },
} as const;

type Form = keyof typeof FORMS;

/** What the answers of an endpoint are in a table, judged by the first of them; `sample` null: there is none. */
export function answerColumns(endpoint: EndpointKind, sample: string | null): AnswerColumns {
  const form = sample === null ? formOfEndpoint(endpoint) : formOf(endpoint, unpacked(endpoint, answerIn(endpoint, bodyOf(sample))));
  const { types, cellsOf } = FORMS[form];
  return { types, cellsOf: (body) => cellsOf(unpacked(endpoint, firstOf(form, answerIn(endpoint, body)))) };
}

/** The body in a line of an output file. */
export const bodyOf = (line: string): unknown => (JSON.parse(line) as { response: { body: unknown } }).response.body;

/** What the body says of its one text; all of it, where it answers several. */
function answerIn(endpoint: EndpointKind, body: unknown): unknown {
  const { data, predictions, results } = body as { data?: { embedding?: unknown }[]; predictions?: unknown[]; results?: unknown };
  const only = data?.length === 1 ? data[0] : undefined;
  if (endpoint === 'embeddings') return only?.embedding ?? body;
  if (endpoint === 'classify') return only ?? body;
  if (endpoint === 'predict') return predictions?.length === 1 ? predictions[0] : (predictions ?? body);
  if (endpoint === 'rerank') return results ?? body;
  return body;
}

/** A classifier that is asked by `:predict` answers with all its labels, the best first. */
const firstOf = (form: Form, answer: unknown): unknown => (form === 'labels' && Array.isArray(answer) ? answer[0] : answer);

function formOf(endpoint: EndpointKind, answer: unknown): Form {
  if (endpoint === 'rerank') return 'result';
  if (isVector(answer)) return 'embedding';
  const first = firstOf('labels', answer);
  if (isLabel(first)) return 'labels';
  return isScore(answer) && Object.keys(answer).length === 1 ? 'score' : 'result';
}

/** Not a token's: that one says where it is. */
const isLabel = (value: unknown): boolean => isScore(value) && typeof value.label === 'string';

const isVector = (value: unknown): value is number[] | Float32Array =>
  value instanceof Float32Array || (Array.isArray(value) && value.length > 0 && value.every((each) => typeof each === 'number'));

/** The vector of an embedding that came as float32 of this machine's byte order in Base64. */
function unpacked(endpoint: EndpointKind, value: unknown): unknown {
  if (endpoint !== 'embeddings' || typeof value !== 'string') return value;
  const { buffer, byteOffset, byteLength } = Buffer.from(value, 'base64');
  return byteLength % 4 === 0 ? new Float32Array(buffer.slice(byteOffset, byteOffset + byteLength)) : value;
}

function formOfEndpoint(endpoint: EndpointKind): Form {
  if (endpoint === 'embeddings') return 'embedding';
  return endpoint === 'classify' ? 'labels' : 'result';
}

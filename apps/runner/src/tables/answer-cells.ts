import type { EndpointKind } from '@app/protocols';

/** Null, or why the row has no answer. */
export const ERROR_COLUMN = 'error';

/** The cells of a row's answer, as JSON. */
export interface AnswerColumns {
  /** DuckDB's type by column. */
  types: Readonly<Record<string, string>>;
  /** The members of a JSON object, for the body of an answer; null: the answer has another form. */
  cellsOf: (body: unknown) => string | null;
}

interface Scored {
  label?: unknown;
  score?: unknown;
}

const isScore = (value: unknown): value is Scored & { score: number } => typeof (value as Scored | null)?.score === 'number';

const FORMS = {
  labels: {
    types: { label: 'VARCHAR', score: 'DOUBLE' },
    cellsOf: (value: unknown): string | null => {
      if (!isScore(value) || typeof value.label !== 'string') return null;
      return `"label":${JSON.stringify(value.label)},"score":${JSON.stringify(value.score)}`;
    },
  },
  score: {
    types: { score: 'DOUBLE' },
    cellsOf: (value: unknown): string | null => (isScore(value) ? `"score":${JSON.stringify(value.score)}` : null),
  },
  embedding: {
    types: { embedding: 'FLOAT[]' },
    cellsOf: (value: unknown): string | null => (isVector(value) ? `"embedding":${JSON.stringify(value)}` : null),
  },
  result: {
    types: { result: 'VARCHAR' },
    cellsOf: (value: unknown): string | null => `"result":${JSON.stringify(JSON.stringify(value))}`,
  },
} as const;

type Form = keyof typeof FORMS;

/** What the answers of an endpoint are in a table, judged by the first of them; `sample` null: there is none. */
export function answerColumns(endpoint: EndpointKind, sample: string | null): AnswerColumns {
  const form = sample === null ? formOfEndpoint(endpoint) : formOf(endpoint, answerIn(endpoint, bodyOf(sample)));
  const { types, cellsOf } = FORMS[form];
  return { types, cellsOf: (body) => cellsOf(firstOf(form, answerIn(endpoint, body))) };
}

/** The body in a line of an output file. */
export const bodyOf = (line: string): unknown => (JSON.parse(line) as { response: { body: unknown } }).response.body;

/** What the body says of its one text. */
function answerIn(endpoint: EndpointKind, body: unknown): unknown {
  const { data, predictions, results } = body as { data?: { embedding?: unknown }[]; predictions?: unknown[]; results?: unknown };
  if (endpoint === 'embeddings') return data?.[0]?.embedding ?? body;
  if (endpoint === 'classify') return data?.[0] ?? body;
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

const isVector = (value: unknown): boolean => Array.isArray(value) && value.length > 0 && value.every((each) => typeof each === 'number');

function formOfEndpoint(endpoint: EndpointKind): Form {
  if (endpoint === 'embeddings') return 'embedding';
  return endpoint === 'classify' ? 'labels' : 'result';
}

import { createHash } from 'node:crypto';
import type { InferenceItem, ItemResult, Task } from '@app/contracts';
import type { EncodeOptions, ServedModel, TextModel, TextRow } from '@app/models';
import { expectObject, invalid, isObject, mismatch, optionalInteger, quote, type JsonObject } from './checks';
import { readServiceTier } from './service-tier';
import type { PreparedRequest } from './types';

/** Where each task is asked for. */
const ENDPOINT_OF: Record<Task, (model: string) => string> = {
  embedding: () => '/v1/embeddings',
  sparse: () => '/v1/embeddings',
  'multi-vector': () => '/v1/embeddings',
  'sequence-classification': () => '/v1/classify',
  'text-pair-scoring': (model) => `/v1/rerank, or POST /v1/models/${model}:predict for texts without a pair`,
  'token-classification': (model) => `/v1/models/${model}:predict`,
  tensor: (model) => `/v2/models/${model}/infer`,
};

/** The model as one that takes texts and does one of `tasks` (null: any); throws an `invalid_request` that says what it does. */
export function textModelFor({ name, task, text, tensorsBecause }: ServedModel, what: string, tasks: readonly Task[] | null): TextModel {
  if (text !== null && (tasks === null || tasks.includes(task))) return text;
  if (text === null && tensorsBecause !== null)
    throw invalid(`expected ${what} for model but "${name}" takes tensors only: ${tensorsBecause}`, 'model');
  throw invalid(`expected ${what} for model but "${name}" does ${task}; use POST ${ENDPOINT_OF[task](name)}`, 'model');
}

/** Throws an `invalid_request` for a field that has a value and is not known: ignored, it could make another answer than the one asked for. */
export function refuseOtherFields(object: JsonObject, known: readonly string[], path: string): void {
  const other = Object.keys(object).find((key) => !known.includes(key) && object[key] !== null);
  if (other !== undefined)
    throw invalid(`expected only ${known.join(', ')} in ${path} but received ${quote(other)}`, path === 'body' ? other : path);
}

type Truncation = Pick<EncodeOptions, 'truncate' | 'tokensMax' | 'truncationSide'>;

/** Fields that `truncationOf` reads. */
export const TRUNCATION_FIELDS = ['truncate', 'truncation_direction', 'truncation_side', 'truncate_prompt_tokens', 'parameters'] as const;

/** Cohere's words say which end goes; TEI's and vLLM's directions mean the same. */
const SIDES = new Map<unknown, EncodeOptions['truncationSide']>([
  ['start', 'left'],
  ['end', 'right'],
  ['left', 'left'],
  ['right', 'right'],
]);

/**
 * Whether and where texts are cut: `truncate` (true, false, or `none`, `start`, `end` as in Cohere), `truncation_direction` (TEI),
 * `truncation_side` and `truncate_prompt_tokens` (vLLM), or `parameters.truncate` (`:predict`). `max_tokens_per_doc` (rerank) cuts as well.
 */
export function truncationOf(request: JsonObject): Truncation {
  const parameters = request.parameters === undefined || request.parameters === null ? {} : expectObject(request.parameters, 'parameters');
  refuseOtherFields(parameters, ['truncate'], 'parameters');
  const own = readTruncate(request.truncate, 'truncate');
  const nested = readTruncate(parameters.truncate, 'parameters.truncate');
  const side = onlySide([
    own.truncationSide,
    nested.truncationSide,
    readSide(request.truncation_direction, 'truncation_direction'),
    readSide(request.truncation_side, 'truncation_side'),
  ]);
  const tokens = optionalInteger(request.truncate_prompt_tokens, 'truncate_prompt_tokens', { min: -1, max: Number.MAX_SAFE_INTEGER });
  if (tokens === 0) throw mismatch('-1, for as many as the model takes, or at least 1', 'truncate_prompt_tokens', tokens);
  const pairTokens = request.max_tokens_per_doc ?? null;
  onlyOneWay([
    ['truncate', (request.truncate ?? null) === null ? null : own.truncate],
    ['parameters.truncate', (parameters.truncate ?? null) === null ? null : nested.truncate],
    ['truncate_prompt_tokens', tokens === null ? null : true],
    ['max_tokens_per_doc', pairTokens === null ? null : true],
  ]);
  if (tokens !== null) return { truncate: true, truncationSide: side, ...(tokens > 0 && { tokensMax: tokens }) };
  return { truncate: own.truncate || nested.truncate, truncationSide: side };
}

/** Throws where one field says that no text is cut and another that texts are; null: it says nothing. */
function onlyOneWay(said: [field: string, cuts: boolean | null][]): void {
  const [keeping, cutting] = [false, true].map((way) => said.find(([, cuts]) => cuts === way)?.[0]);
  if (keeping !== undefined && cutting !== undefined)
    throw invalid(`expected texts to be cut or not but ${keeping} says no and ${cutting} says yes; leave out one of the two`, keeping);
}

/** Null: none was named. */
function onlySide(named: EncodeOptions['truncationSide'][]): EncodeOptions['truncationSide'] {
  const sides = [...new Set(named.filter((side) => side !== null && side !== undefined))];
  if (sides.length > 1) throw invalid('expected one end of the text to be cut but both are named; leave out one of the fields', 'truncate');
  return sides[0] ?? null;
}

/** A value of `truncate`. */
export function readTruncate(value: unknown, path: string): Truncation {
  if (value === undefined || value === null || value === false) return { truncate: false };
  if (value === true) return { truncate: true };
  const word = typeof value === 'string' ? value.toLowerCase() : '';
  if (word === 'none') return { truncate: false };
  if (word !== 'start' && word !== 'end') throw mismatch('true, false, "none", "start" or "end"', path, value);
  return { truncate: true, truncationSide: SIDES.get(word) ?? null };
}

function readSide(value: unknown, path: string): EncodeOptions['truncationSide'] {
  if (value === undefined || value === null) return null;
  const word = typeof value === 'string' ? value.toLowerCase() : '';
  if (word !== 'left' && word !== 'right') throw mismatch('"left" or "right"', path, value);
  return SIDES.get(word) ?? null;
}

export function tokensIn(rows: readonly TextRow[]): number {
  return rows.reduce((sum, { tokenCount }) => sum + tokenCount, 0);
}

interface DistinctItems {
  items: InferenceItem[];
  /** The results of the rows, of those of `items`. */
  perRow(results: readonly ItemResult[]): ItemResult[];
}

/**
 * What is run for rows. Those with equal inputs are one item, so that they have the same answer to the last digit, which neighbours
 * in a run could change; not of a model whose answers may differ.
 */
export function distinctItems(rows: readonly TextRow[], { deduplicate }: ServedModel): DistinctItems {
  const places = new Map<string, number>();
  const items: InferenceItem[] = [];
  const placeOf = rows.map(({ item }, i) => {
    const key = deduplicate && rows.length > 1 ? contentKey(item) : String(i);
    const known = places.get(key);
    if (known !== undefined) return known;
    places.set(key, items.length);
    return items.push(item) - 1;
  });
  return { items, perRow: (results) => placeOf.map((place) => results[place] as ItemResult) };
}

/** All rows of a request have the same inputs and outputs, of shapes that follow from their bytes. */
function contentKey({ inputs }: InferenceItem): string {
  const hash = createHash('sha256');
  for (const { data } of inputs) hash.update(data);
  return hash.digest('base64');
}

/** A request that runs one item for each row that differs. */
export function rowsRequest(
  model: ServedModel,
  { service_tier: tier }: JsonObject,
  rows: readonly TextRow[],
  respond: PreparedRequest['respond'],
): PreparedRequest {
  const { items, perRow } = distinctItems(rows, model);
  return {
    model: model.name,
    version: model.version,
    revision: model.revision,
    remoteFiles: model.remoteFiles,
    items,
    tokenCount: tokensIn(rows),
    timeoutMs: model.timeoutMs,
    priority: 0,
    tier: readServiceTier(tier, 'service_tier'),
    respond: (results) => respond(perRow(results)),
  };
}

/** Of sparse vectors, and of vectors of tokens: an answer of that many is some 80 MB of JSON. */
const NUMBERS_MAX = 4 * 1024 * 1024;

/** Counts the numbers of one request's answer; `add` throws when they are too many. */
export class AnswerSize {
  private numbers = 0;

  constructor(
    private readonly field: string,
    private readonly numbersMax = NUMBERS_MAX,
  ) {}

  /** The same value: a sparse vector, or vectors of tokens, or anything else, which is small. */
  add<T>(embedding: T): T {
    this.numbers += numbersIn(embedding);
    if (this.numbers <= this.numbersMax) return embedding;
    throw invalid(
      `expected at most ${this.numbersMax} numbers in the answer but there are more; send fewer or shorter texts in a request`,
      this.field,
    );
  }
}

function numbersIn(embedding: unknown): number {
  if (isObject(embedding)) return Array.isArray(embedding.values) ? embedding.values.length : 0;
  return Array.isArray(embedding) && Array.isArray(embedding[0]) ? embedding.length * embedding[0].length : 0;
}

import type { ItemResult } from '@app/contracts';
import type { EncodeOptions, ModelView, ServedModel, TextModel, TextRow } from '@app/models';
import { partsAround, toBase64, VECTOR_MARK } from './answer-parts';
import type { Bulk } from './bulk';
import {
  answering,
  atPath,
  expectItems,
  expectObject,
  expectString,
  invalid,
  mismatch,
  optionalInteger,
  optionalString,
  quote,
  type JsonObject,
} from './checks';
import { readServiceTier } from './service-tier';
import { mapInSlices } from './slices';
import { AnswerSize, rowsRequest, textModelFor, tokensIn, truncationOf } from './text-request';
import type { Limits, PreparedRequest } from './types';
import { vectorsToJson } from './vectors-json';

/**
 * Fields of other servers that change the vectors and are not done here, with the value that changes nothing: ignored
 * they would give a plausible wrong answer.
 */
const NOT_SUPPORTED = new Map<string, unknown>([
  ...['task', 'task_type', 'prompt', 'instruction', 'normalize', 'output_dimension'].map((field) => [field, null] as const),
  ['late_chunking', false],
  ['add_special_tokens', true],
  ['output_dtype', 'float'],
  ['embedding_type', 'float'],
]);
const WIDTH_MAX = 65_536;

/** Checks and tokenizes a `POST /v1/embeddings` body (docs/protocols.md §6). */
export async function prepareEmbeddings(body: unknown, catalog: ModelView, limits: Limits): Promise<PreparedRequest> {
  const request = expectObject(body, 'body');
  const plan = planOf(request, catalog);
  const { model } = plan;
  const rows = await encodeInput(request.input, plan.text, plan.options, limits);
  const tokenCount = tokensIn(rows);
  return rowsRequest(model, request, rows, async (results) => {
    const size = new AnswerSize('input');
    const data = await mapInSlices(rows, (row, index) => {
      const embedding = answering(pathOf(request.input, `[${index}]`), () =>
        size.add(embeddingOf(plan, row, results[index] as ItemResult)),
      );
      return { object: 'embedding', index, embedding };
    });
    return { kind: 'json', body: answerOf(model, data, tokenCount) };
  });
}

/** As `prepareEmbeddings` for bodies with one text; of other models than those of one vector there is none. */
export function embeddingsBulk(request: JsonObject, catalog: ModelView): Bulk | null {
  const plan = planOf(request, catalog);
  const { model, text, options, encoding, dimensions } = plan;
  if (model.task !== 'embedding') return null;
  readServiceTier(request.service_tier, 'service_tier');
  const vectorForm = encoding === 'base64' ? 'base64' : 'numbers';
  const bodyWith = (embedding: string, tokenCount: number): object =>
    answerOf(model, [{ object: 'embedding', index: 0, embedding }], tokenCount);
  const parts = new Map<number, ReturnType<typeof partsAround>>();
  const partsFor = (tokenCount: number): ReturnType<typeof partsAround> => {
    const known = parts.get(tokenCount) ?? partsAround(bodyWith(VECTOR_MARK, tokenCount), vectorForm);
    parts.set(tokenCount, known);
    return known;
  };
  return {
    model,
    text,
    options,
    answer: (row, result) => {
      const vector = answering('input', () => shorten(row.decodeVector(result), dimensions));
      const { before, vectorForm, after } = partsFor(row.tokenCount);
      return { before, vector, vectorForm, after };
    },
  };
}

/** What a body asks for beside its input. */
interface EmbeddingsPlan {
  model: ServedModel;
  text: TextModel;
  encoding: 'float' | 'base64';
  /** Null: vectors as they are. */
  dimensions: number | null;
  options: EncodeOptions;
}

function planOf(request: JsonObject, catalog: ModelView): EmbeddingsPlan {
  // OpenAI's name of who sends it; other types of it were always ignored.
  const user = typeof request.user === 'string' ? request.user : null;
  const model = catalog.find(expectString(request.model, 'model'), null, user);
  const text = textModelFor(model, 'an embedding model', ['embedding', 'sparse', 'multi-vector']);
  const encoding = encodingFormat(request, model);
  const dimensions = dimensionsOf(request, text);
  refuseNotSupported(request);
  return { model, text, encoding, dimensions, options: { ...truncationOf(request), topK: null, promptName: promptNameOf(request, text) } };
}

function embeddingOf({ model, encoding, dimensions }: EmbeddingsPlan, row: TextRow, result: ItemResult): unknown {
  if (model.task !== 'embedding') return vectorsToJson(row.decode(result));
  const vector = shorten(row.decodeVector(result), dimensions);
  return encoding === 'base64' ? toBase64(vector) : vectorsToJson(vector);
}

function answerOf(model: ServedModel, data: object[], tokenCount: number): object {
  return { object: 'list', data, model: model.name, usage: { prompt_tokens: tokenCount, total_tokens: tokenCount } };
}

/** Null: the vector as it is. A vector that was not trained for it cannot be cut without losing its meaning. */
function dimensionsOf(request: JsonObject, { embeddingWidth, dimensions: rule }: TextModel): number | null {
  const dimensions = optionalInteger(request.dimensions, 'dimensions', { min: 1, max: embeddingWidth ?? WIDTH_MAX });
  if (dimensions === null || dimensions === embeddingWidth || rule === 'any') return dimensions;
  const widths = [...(rule ?? []), ...(embeddingWidth === null ? [] : [embeddingWidth])];
  if (widths.includes(dimensions)) return dimensions;
  const why =
    rule === null
      ? 'nothing in the files of the model says that its vectors may be cut; if it was trained for that (Matryoshka), its owner sets "dimensions: any", or a list, in model.yaml'
      : 'model.yaml or config.json lists these';
  const expected = widths.length === 0 ? 'no dimensions' : `${[...new Set(widths)].join(' or ')} for dimensions`;
  throw invalid(`expected ${expected} but received ${dimensions}: ${why}`, 'dimensions');
}

/** `prompt_name`, or `input_type` of Cohere and others: the prompt of that name, with or without Cohere's `search_`. */
function promptNameOf(request: JsonObject, { promptNames }: TextModel): string | null {
  const name = optionalString(request.prompt_name, 'prompt_name');
  const type = optionalString(request.input_type, 'input_type');
  if (type === null) return name;
  const prompt = [type, type.replace(/^search_/, '')].find((candidate) => promptNames.includes(candidate));
  const known =
    promptNames.length === 0 ? 'no input_type, as the model has no prompts,' : `${promptNames.map(quote).join(' or ')} for input_type`;
  if (prompt === undefined) throw invalid(`expected ${known} but received ${quote(type)}`, 'input_type');
  if (name !== null && name !== prompt)
    throw invalid(`expected one of prompt_name and input_type but received ${quote(name)} and ${quote(type)}`, 'input_type');
  return prompt;
}

function encodingFormat(request: JsonObject, { name, task }: ServedModel): 'float' | 'base64' {
  const format = optionalString(request.encoding_format, 'encoding_format') ?? 'float';
  if (format !== 'float' && format !== 'base64') throw mismatch('"float" or "base64"', 'encoding_format', format);
  if (format === 'base64' && task !== 'embedding')
    throw invalid(
      `expected "float" for encoding_format but received "base64": the answer of "${name}" is no single vector`,
      'encoding_format',
    );
  return format;
}

function refuseNotSupported(request: JsonObject): void {
  for (const [field, harmless] of NOT_SUPPORTED) {
    const value = request[field] ?? null;
    if (value === null || value === harmless) continue;
    throw invalid(
      `expected no ${field} because it would change the vectors and is not supported; leave ${field} out (a prompt of the model goes by prompt_name, any other into the text)`,
      field,
    );
  }
}

/** A text, texts, token ids, or lists of token ids. */
async function encodeInput(input: unknown, text: TextModel, options: EncodeOptions, limits: Limits): Promise<TextRow[]> {
  const inputs = isSingle(input) ? [input] : expectItems(expectInput(input), 'input', limits.itemsMax);
  try {
    if (Array.isArray(inputs[0]))
      return text.encodeIds(
        inputs.map((item, i) => idsOf(item, pathOf(input, `[${i}]`))),
        options,
      );
    return await text.encode(
      inputs.map((item, i) => expectString(item, pathOf(input, `[${i}]`))),
      options,
    );
  } catch (error) {
    throw atPath(error, (index) => pathOf(input, index));
  }
}

const isSingle = (input: unknown): boolean => typeof input === 'string' || (Array.isArray(input) && typeof input[0] === 'number');

const pathOf = (input: unknown, index: string): string => (isSingle(input) ? 'input' : `input${index}`);

function expectInput(input: unknown): unknown {
  if (!Array.isArray(input)) throw mismatch('a string, an array of strings, or token ids', 'input', input);
  return input;
}

function idsOf(item: unknown, path: string): number[] {
  if (!Array.isArray(item)) throw mismatch('an array of token ids, like the first element,', path, item);
  // What a number cannot hold is no token id; the check that follows says so.
  return item.map((id: unknown) => (typeof id === 'bigint' ? Number(id) : id)) as number[];
}

/** The first `dimensions` numbers, normalised again; null: the vector as it is. */
function shorten(vector: Float32Array, dimensions: number | null): Float32Array {
  if (dimensions === null || dimensions === vector.length) return vector;
  if (dimensions > vector.length)
    throw invalid(`expected at most ${vector.length} for dimensions but received ${dimensions}`, 'dimensions');
  const head = vector.slice(0, dimensions);
  const length = Math.sqrt(head.reduce((sum, value) => sum + value * value, 0));
  return length === 0 ? head : head.map((value) => value / length);
}

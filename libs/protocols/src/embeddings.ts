import type { ItemResult } from '@app/contracts';
import type { EncodeOptions, ModelCatalog, ServedModel, TextModel, TextRow } from '@app/models';
import {
  answering,
  atPath,
  expectItems,
  expectObject,
  expectString,
  invalid,
  mismatch,
  optionalBoolean,
  optionalInteger,
  optionalString,
  quote,
  type JsonObject,
} from './checks';
import { readServiceTier } from './service-tier';
import { mapInSlices } from './slices';
import type { Limits, PreparedRequest, ResponseBody } from './types';

/**
 * Fields of other servers that change the vectors and are not done here, with the value that changes nothing: ignored
 * they would give a plausible wrong answer.
 */
const NOT_SUPPORTED = new Map<string, unknown>([
  ...['input_type', 'task', 'task_type', 'prompt', 'instruction', 'normalize', 'output_dimension', 'truncation_direction'].map(
    (field) => [field, null] as const,
  ),
  ['late_chunking', false],
  ['add_special_tokens', true],
  ['output_dtype', 'float'],
  ['embedding_type', 'float'],
]);
const WIDTH_MAX = 65_536;

/** Checks and tokenizes a `POST /v1/embeddings` body (docs/protocols.md §6). */
export async function prepareEmbeddings(body: unknown, catalog: ModelCatalog, limits: Limits): Promise<PreparedRequest> {
  const request = expectObject(body, 'body');
  const model = catalog.find(expectString(request.model, 'model'), null);
  const text = embeddingModel(model);
  const encoding = encodingFormat(request);
  const dimensions = optionalInteger(request.dimensions, 'dimensions', { min: 1, max: text.embeddingWidth ?? WIDTH_MAX });
  refuseNotSupported(request);
  const options = { ...truncation(request), topK: null, promptName: optionalString(request.prompt_name, 'prompt_name') };
  const rows = await encodeInput(request.input, text, options, limits);
  const tokenCount = rows.reduce((sum, row) => sum + row.tokenCount, 0);
  const respond = async (results: ItemResult[]): Promise<ResponseBody> => {
    const data = await mapInSlices(rows, (row, index) => {
      const vector = answering(pathOf(request.input, `[${index}]`), () =>
        shorten(row.decodeVector(results[index] as ItemResult), dimensions),
      );
      return { object: 'embedding', index, embedding: encoding === 'base64' ? toBase64(vector) : Array.from(vector) };
    });
    return {
      kind: 'json',
      body: { object: 'list', data, model: model.name, usage: { prompt_tokens: tokenCount, total_tokens: tokenCount } },
    };
  };
  return {
    model: model.name,
    version: model.version,
    items: rows.map((row) => row.item),
    tokenCount,
    timeoutMs: model.timeoutMs,
    priority: 0,
    tier: readServiceTier(request.service_tier, 'service_tier'),
    respond,
  };
}

function embeddingModel({ name, task, text, tensorsBecause }: ServedModel): TextModel {
  if (task === 'embedding' && text !== null) return text;
  if (tensorsBecause !== null)
    throw invalid(`expected an embedding model for model but "${name}" takes tensors only: ${tensorsBecause}`, 'model');
  throw invalid(`expected an embedding model for model but "${name}" does ${task}; use POST /v1/models/${name}:predict`, 'model');
}

function encodingFormat(request: JsonObject): 'float' | 'base64' {
  const format = optionalString(request.encoding_format, 'encoding_format') ?? 'float';
  if (format !== 'float' && format !== 'base64') throw mismatch('"float" or "base64"', 'encoding_format', format);
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

/** Whether and where texts are cut: `truncate` (TEI), `truncate_prompt_tokens` (vLLM) or `parameters.truncate` (`:predict`). */
function truncation(request: JsonObject): Pick<EncodeOptions, 'truncate' | 'tokensMax'> {
  const parameters = request.parameters === undefined || request.parameters === null ? {} : expectObject(request.parameters, 'parameters');
  const other = Object.keys(parameters).find((name) => name !== 'truncate');
  if (other !== undefined) throw invalid(`expected only truncate in parameters but received ${quote(other)}`, 'parameters');
  const tokens = optionalInteger(request.truncate_prompt_tokens, 'truncate_prompt_tokens', { min: -1, max: Number.MAX_SAFE_INTEGER });
  if (tokens === 0) throw mismatch('-1, for as many as the model takes, or at least 1', 'truncate_prompt_tokens', tokens);
  if (tokens !== null) return { truncate: true, ...(tokens > 0 && { tokensMax: tokens }) };
  const truncate =
    (optionalBoolean(request.truncate, 'truncate') ?? false) || (optionalBoolean(parameters.truncate, 'parameters.truncate') ?? false);
  return { truncate };
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
  const head = vector.slice(0, dimensions);
  const length = Math.sqrt(head.reduce((sum, value) => sum + value * value, 0));
  return length === 0 ? head : head.map((value) => value / length);
}

/** Little-endian float32, straight from the vector's memory. */
function toBase64(vector: Float32Array): string {
  return Buffer.from(vector.buffer, vector.byteOffset, vector.byteLength).toString('base64');
}

import { BATCH_PRIORITIES, BATCH_PRIORITY_DEFAULT, InterleaveError, type BatchPriority } from '@app/contracts';
import type { PageRequest } from '@app/batches';
import { WINDOW_EXPECTED, windowSeconds } from './completion-window';
import { invalid, shown, SHOWN_CHARS_MAX } from './invalid';
import { parseTableRequest, type TableRequest } from './table-request';

const LIFE_SECONDS_MIN = 3_600;
const LIFE_SECONDS_MAX = 2_592_000;

const METADATA_PAIRS_MAX = 16;
const METADATA_KEY_CHARS_MAX = 64;
const METADATA_VALUE_CHARS_MAX = 512;
const BATCH_FIELDS: ReadonlySet<string> = new Set([
  'input_file_id',
  'endpoint',
  'completion_window',
  'metadata',
  'output_expires_after',
  'deterministic',
  'priority',
  'dry_run',
  'input',
  'model',
  'output',
]);
const CHANGE_FIELDS: ReadonlySet<string> = new Set(['priority']);

/** The body of `POST /v1/batches`, checked as far as it can be without looking at files. */
export interface BatchRequest {
  /** Null: `table.uri` is the input. */
  inputFileId: string | null;
  endpoint: string;
  metadata: Record<string, string> | null;
  isDeterministic: boolean;
  outputExpiresAfterSeconds: number | null;
  /** As the client said it. */
  completionWindow: string;
  completionWindowSeconds: number;
  priority: BatchPriority;
  isDryRun: boolean;
  table: TableRequest;
}

/** Throws `invalid_request` naming the field. */
export function parseBatchRequest(body: unknown): BatchRequest {
  if (!isObject(body)) throw invalid(null, 'a JSON object as the body', body);
  refuseUnknown(body, BATCH_FIELDS);
  const { input_file_id: inputFileId, endpoint, completion_window: window, metadata, output_expires_after: expires, deterministic } = body;
  const table = parseTableRequest(body);
  const isFile = inputFileId !== undefined && inputFileId !== null;
  if (isFile ? typeof inputFileId !== 'string' : table.uri === null)
    throw invalid('input_file_id', 'the id of an uploaded file', inputFileId);
  if (isFile && table.uri !== null) throw invalid('input.uri', 'none beside input_file_id', table.uri);
  if (typeof endpoint !== 'string') throw invalid('endpoint', 'the path of a predict endpoint', endpoint);
  const completionWindowSeconds = windowSeconds(window);
  if (typeof window !== 'string' || completionWindowSeconds === null) throw invalid('completion_window', WINDOW_EXPECTED, window);
  return {
    inputFileId: typeof inputFileId === 'string' ? inputFileId : null,
    endpoint,
    metadata: parseMetadata(metadata),
    isDeterministic: parseFlag('deterministic', deterministic),
    outputExpiresAfterSeconds: parseExpiry('output_expires_after', expires),
    completionWindow: window,
    completionWindowSeconds,
    priority: parsePriority(body['priority'] ?? BATCH_PRIORITY_DEFAULT),
    isDryRun: parseFlag('dry_run', body['dry_run']),
    table,
  };
}

/** The body of `POST /v1/batches/{id}`. Throws `invalid_request` naming the field. */
export function parseBatchChange(body: unknown): { priority: BatchPriority } {
  if (!isObject(body)) throw invalid(null, 'a JSON object as the body', body);
  refuseUnknown(body, CHANGE_FIELDS);
  return { priority: parsePriority(body['priority']) };
}

function refuseUnknown(body: Record<string, unknown>, fields: ReadonlySet<string>): void {
  const unknown = Object.keys(body).find((name) => !fields.has(name));
  if (unknown !== undefined)
    throw new InterleaveError('invalid_request', `Unknown field ${shown(unknown)}; expected ${[...fields].join(', ')}`, {
      param: unknown.slice(0, SHOWN_CHARS_MAX),
    });
}

function parsePriority(value: unknown): BatchPriority {
  const priority = BATCH_PRIORITIES.find((one) => one === value);
  if (priority === undefined) throw invalid('priority', '"low", "normal" or "high"', value);
  return priority;
}

/** Absent: false. */
function parseFlag(param: string, value: unknown): boolean {
  const flag = value ?? false;
  if (typeof flag !== 'boolean') throw invalid(param, 'true or false', value);
  return flag;
}

/** `{"anchor": "created_at", "seconds": 3600..2592000}`; null when absent. */
export function parseExpiry(param: string, value: unknown): number | null {
  if (value === undefined || value === null) return null;
  if (!isObject(value) || value['anchor'] !== 'created_at')
    throw invalid(`${param}.anchor`, '"created_at"', isObject(value) ? value['anchor'] : value);
  const { seconds } = value;
  if (typeof seconds !== 'number' || !Number.isInteger(seconds) || seconds < LIFE_SECONDS_MIN || seconds > LIFE_SECONDS_MAX) {
    throw invalid(`${param}.seconds`, `an integer from ${LIFE_SECONDS_MIN} to ${LIFE_SECONDS_MAX}`, seconds);
  }
  return seconds;
}

/** The paging parameters of a list. `isId` decides what may stand in `after`. */
export function parsePage(
  query: Record<string, unknown>,
  options: { limitMax: number; limitDefault: number; isId: (value: string) => boolean },
): PageRequest {
  const { limit, order, after } = query;
  const limitNumber =
    limit === undefined ? options.limitDefault : typeof limit === 'string' && /^\d{1,6}$/.test(limit) ? Number(limit) : NaN;
  if (!(limitNumber >= 1 && limitNumber <= options.limitMax)) throw invalid('limit', `an integer from 1 to ${options.limitMax}`, limit);
  if (order !== undefined && order !== 'asc' && order !== 'desc') throw invalid('order', '"asc" or "desc"', order);
  if (after !== undefined && !(typeof after === 'string' && options.isId(after))) throw invalid('after', 'an id of this list', after);
  return { limit: limitNumber, order: order ?? 'desc', after: after ?? null };
}

function parseMetadata(value: unknown): Record<string, string> | null {
  if (value === undefined || value === null) return null;
  if (!isObject(value)) throw invalid('metadata', 'an object of strings', value);
  const pairs = Object.entries(value);
  if (pairs.length > METADATA_PAIRS_MAX)
    throw new InterleaveError('invalid_request', `metadata: expected at most ${METADATA_PAIRS_MAX} pairs but received ${pairs.length}`, {
      param: 'metadata',
    });
  for (const [key, text] of pairs) {
    const param = `metadata.${key.slice(0, METADATA_KEY_CHARS_MAX)}`;
    if (key.length > METADATA_KEY_CHARS_MAX) throw invalid(param, `a key of at most ${METADATA_KEY_CHARS_MAX} characters`, key);
    if (typeof text !== 'string' || text.length > METADATA_VALUE_CHARS_MAX)
      throw invalid(param, `a string of at most ${METADATA_VALUE_CHARS_MAX} characters`, text);
  }
  return Object.fromEntries(pairs.map(([key, text]) => [key, String(text)]));
}

export function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

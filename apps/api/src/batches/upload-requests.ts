import { InterleaveError } from '@app/contracts';
import { PARTS_MAX, type Completion } from '@app/batches';
import { isObject, parseExpiry } from './batch-requests';
import { invalid } from './invalid';

const TEXT_CHARS_MAX = 255;
const UPLOAD_FIELDS = ['bytes', 'filename', 'mime_type', 'purpose', 'expires_after'];
const COMPLETION_FIELDS = ['part_ids', 'md5'];
const MD5 = /^[0-9a-f]{32}$/i;
const FIELD_CHARS_MAX = 64;

/** The body of `POST /v1/uploads`. */
export interface UploadRequest {
  bytes: number;
  filename: string;
  /** Null: the default. */
  expiresAfterSeconds: number | null;
}

/** Throws `invalid_request` naming the field. */
export function parseUploadRequest(body: unknown): UploadRequest {
  const { bytes, filename, mime_type: mimeType, purpose, expires_after: expires } = fieldsOf(body, UPLOAD_FIELDS);
  if (typeof bytes !== 'number' || !Number.isSafeInteger(bytes) || bytes < 1) throw invalid('bytes', 'the length of the file', bytes);
  if (!isText(filename)) throw invalid('filename', `1 to ${TEXT_CHARS_MAX} characters`, filename);
  // Official clients must send it; what a file is, its bytes say.
  if (!isText(mimeType)) throw invalid('mime_type', `1 to ${TEXT_CHARS_MAX} characters, as in "application/jsonl"`, mimeType);
  if (purpose !== 'batch') throw invalid('purpose', '"batch"', purpose);
  return { bytes, filename, expiresAfterSeconds: parseExpiry('expires_after', expires) };
}

/** The body of `POST /v1/uploads/{id}/complete`. Throws `invalid_request` naming the field. */
export function parseCompletion(body: unknown): Completion {
  const { part_ids: partIds, md5 } = fieldsOf(body, COMPLETION_FIELDS);
  if (!Array.isArray(partIds) || partIds.length === 0 || partIds.length > PARTS_MAX || !partIds.every((id) => typeof id === 'string'))
    throw invalid('part_ids', `1 to ${PARTS_MAX} ids of parts`, partIds);
  if (md5 !== undefined && md5 !== null && !(typeof md5 === 'string' && MD5.test(md5))) throw invalid('md5', '32 hexadecimal digits', md5);
  return { partIds, md5: md5 ?? null };
}

function fieldsOf(body: unknown, names: readonly string[]): Record<string, unknown> {
  if (!isObject(body)) throw invalid(null, 'a JSON object as the body', body);
  const unknown = Object.keys(body).find((name) => !names.includes(name));
  if (unknown === undefined) return body;
  throw new InterleaveError(
    'invalid_request',
    `Unknown field ${JSON.stringify(unknown.slice(0, FIELD_CHARS_MAX))}; expected ${names.join(', ')}`,
    {
      param: unknown.slice(0, FIELD_CHARS_MAX),
    },
  );
}

const isText = (value: unknown): value is string => typeof value === 'string' && value.length >= 1 && value.length <= TEXT_CHARS_MAX;

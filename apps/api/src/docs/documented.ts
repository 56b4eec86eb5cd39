import { applyDecorators } from '@nestjs/common';
import { ApiOperation, ApiQuery, ApiResponse, ApiTags, type HeadersObject, type SchemaObject } from '@nestjs/swagger';
import type { SchemaName } from './schemas';

type ErrorStatus = 400 | 403 | 404 | 409 | 413 | 415 | 416 | 422 | 429 | 501 | 503 | 504 | 507;

const ERROR_MEANING: Record<ErrorStatus, string> = {
  400: 'The request is malformed; the message names the field, what was expected and what came',
  403: 'Not allowed to this caller',
  404: 'Not found',
  409: 'Not possible in this state',
  413: 'The body is over the limit',
  415: 'Content type or encoding that is not taken',
  416: 'The range starts past the end',
  422: 'The model fails on this input; or the Idempotency-Key belongs to another request',
  429: 'No room before the deadline, or the share of the tenant is used up',
  501: 'Not done by this node; the message says what would do',
  503: 'Not running now',
  504: 'The deadline passed',
  507: 'The disk is full or cannot be written to',
};

const header = (description: string, type: 'integer' | 'string') => ({ description, schema: { type } });
const RETRY_AFTER = { 'Retry-After': header('When to try again, in seconds', 'integer') };
/** On every answer of a route that uses the share of a tenant. */
const RATE_LIMIT = {
  RateLimit: header('What the share of the tenant has left, and when it is full again; only where it has a limit', 'string'),
  'RateLimit-Policy': header('The share of the tenant, in executor milliseconds; only where it has a limit', 'string'),
};
const HEADERS: Partial<Record<ErrorStatus, Record<string, ReturnType<typeof header>>>> = {
  429: { ...RETRY_AFTER, ...RATE_LIMIT },
  503: RETRY_AFTER,
  507: RETRY_AFTER,
};

const QUERY = {
  limit: { type: 'integer', minimum: 1 },
  order: { type: 'string', enum: ['asc', 'desc'] },
  after: { type: 'string', description: 'The id after which to go on' },
  purpose: { type: 'string', enum: ['batch', 'batch_output'] },
} as const;
type QueryParameter = keyof typeof QUERY;
/** Query parameters of every list. */
export const PAGE_QUERY: readonly QueryParameter[] = ['limit', 'order', 'after'];

export interface Documentation {
  tag: 'infer' | 'health' | 'models' | 'files' | 'batches' | 'operations';
  summary: string;
  description?: string;
  /** By content type; a plain name means `application/json`. */
  body?: SchemaName | Record<string, SchemaName>;
  /** An empty body is an empty object. */
  isBodyOptional?: boolean;
  query?: readonly QueryParameter[];
  /** Body of the answer 200. */
  ok: SchemaName | { contentType: string; description: string };
  /** Schema of the answer 503, where that is no error. */
  notReady?: SchemaName;
  errors?: ErrorStatus[];
  /** The error shape of the route's protocol. */
  errorSchema?: 'Error' | 'OpenAiError';
}

/** Puts a route into the OpenAPI document. Path parameters come from the path. */
export function Documented(documentation: Documentation): MethodDecorator {
  const { ok, notReady, errors = [], errorSchema = 'Error' } = documentation;
  return applyDecorators(
    ApiTags(documentation.tag),
    ApiOperation({
      summary: documentation.summary,
      ...(documentation.description && { description: documentation.description }),
      ...(documentation.body && {
        requestBody: { required: documentation.isBodyOptional !== true, content: contentOf(documentation.body) },
      }),
    }),
    ...(documentation.query ?? []).map((name) => ApiQuery({ name, required: false, schema: { ...QUERY[name] } as SchemaObject })),
    typeof ok === 'string'
      ? ApiResponse({
          status: 200,
          description: 'The answer',
          content: contentOf(ok),
          ...(errors.includes(429) && { headers: RATE_LIMIT as HeadersObject }),
        })
      : ApiResponse({ status: 200, description: ok.description, content: { [ok.contentType]: { schema: { type: 'string' } } } }),
    ...(notReady ? [ApiResponse({ status: 503, description: 'Not ready, with the reason', content: contentOf(notReady) })] : []),
    ApiResponse({ status: 'default', description: 'Any other error', content: contentOf(errorSchema) }),
    ...errors.map((status) => {
      const headers = HEADERS[status] as HeadersObject | undefined;
      return ApiResponse({ status, description: ERROR_MEANING[status], content: contentOf(errorSchema), ...(headers && { headers }) });
    }),
  );
}

function contentOf(body: SchemaName | Record<string, SchemaName>): Record<string, { schema: { $ref: string } }> {
  const byType = typeof body === 'string' ? { 'application/json': body } : body;
  return Object.fromEntries(Object.entries(byType).map(([type, name]) => [type, { schema: { $ref: `#/components/schemas/${name}` } }]));
}

/**
 * The one table of errors (docs/protocols.md §2): every refusal of every surface comes from here.
 * `batchCode` is the code of the line in a batch's error file.
 */
export const ERRORS = {
  invalid_request: { status: 400, retryable: false, batchCode: 'invalid_request' },
  unauthorized: { status: 401, retryable: false, batchCode: 'invalid_request' },
  forbidden: { status: 403, retryable: false, batchCode: 'invalid_request' },
  model_not_found: { status: 404, retryable: false, batchCode: 'model_not_found' },
  not_found: { status: 404, retryable: false, batchCode: 'invalid_request' },
  method_not_allowed: { status: 405, retryable: false, batchCode: 'invalid_request' },
  request_timeout: { status: 408, retryable: true, batchCode: 'request_timeout' },
  conflict: { status: 409, retryable: false, batchCode: 'invalid_request' },
  too_large: { status: 413, retryable: false, batchCode: 'invalid_request' },
  unsupported_media_type: { status: 415, retryable: false, batchCode: 'invalid_request' },
  range_not_satisfiable: { status: 416, retryable: false, batchCode: 'invalid_request' },
  idempotency_mismatch: { status: 422, retryable: false, batchCode: 'invalid_request' },
  inference_failed: { status: 422, retryable: false, batchCode: 'inference_failed' },
  overloaded: { status: 429, retryable: true, batchCode: 'overloaded' },
  client_closed: { status: 499, retryable: false, batchCode: 'batch_cancelled' },
  internal: { status: 500, retryable: false, batchCode: 'internal' },
  not_supported: { status: 501, retryable: false, batchCode: 'invalid_request' },
  model_not_servable: { status: 503, retryable: true, batchCode: 'model_not_servable' },
  worker_unavailable: { status: 503, retryable: true, batchCode: 'worker_unavailable' },
  storage_unavailable: { status: 503, retryable: true, batchCode: 'storage_unavailable' },
  deadline_exceeded: { status: 504, retryable: false, batchCode: 'request_timeout' },
  storage_full: { status: 507, retryable: true, batchCode: 'storage_full' },
} as const satisfies Record<string, { status: number; retryable: boolean; batchCode: string }>;
export type ErrorCode = keyof typeof ERRORS;
/** Why a row of a batch has no answer: the code of its line in the error file. */
export type BatchCode = (typeof ERRORS)[ErrorCode]['batchCode'] | 'batch_expired';

/** Where nobody knows better, in seconds: a disk is made free by people or by the life of files, not at once. */
const WAIT_SECONDS: Readonly<Record<number, number>> = { 429: 1, 503: 1, 507: 60 };

export interface ErrorDetails {
  /** Path of the field at fault, for example `inputs[0].shape`. */
  param?: string;
  retryAfterSeconds?: number;
  cause?: unknown;
}

/** An error that a caller may see. The message names the field, what was expected and what came, and what to do. */
export class InterleaveError extends Error {
  readonly param: string | null;
  readonly retryAfterSeconds: number | null;

  constructor(
    readonly code: ErrorCode,
    message: string,
    details: ErrorDetails = {},
  ) {
    // A stack costs more than the rest of a refusal, and these say by themselves what is wrong.
    const { stackTraceLimit } = Error;
    if (code !== 'internal') Error.stackTraceLimit = 0;
    super(message, details.cause === undefined ? undefined : { cause: details.cause });
    Error.stackTraceLimit = stackTraceLimit;
    this.name = 'InterleaveError';
    this.param = details.param ?? null;
    this.retryAfterSeconds = details.retryAfterSeconds ?? null;
  }

  get status(): number {
    return ERRORS[this.code].status;
  }

  /** How long the caller should wait before it tries again; null: that would not help. */
  get waitSeconds(): number | null {
    const usual = WAIT_SECONDS[this.status];
    return usual === undefined ? null : (this.retryAfterSeconds ?? usual);
  }

  get retryable(): boolean {
    return ERRORS[this.code].retryable;
  }

  get batchCode(): BatchCode {
    return ERRORS[this.code].batchCode;
  }
}

/**
 * No worker has the revision any more that a request was prepared for. Prepared anew, for the files of now, the request can be
 * answered; a caller is told where that does not help either.
 */
export class RevisionGone extends InterleaveError {
  constructor(name: string, version: string) {
    super('worker_unavailable', `the files of model "${name}" version ${version} have just been replaced or unloaded; try again`, {
      retryAfterSeconds: 1,
    });
  }
}

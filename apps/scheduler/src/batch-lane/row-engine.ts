import type { Endpoint } from '@app/protocols';
import type { InterleaveError } from '@app/contracts';

/** One row on its way through the lane. */
export interface RowRequest {
  endpoint: Endpoint;
  /** The `body` of the line. */
  body: unknown;
}

/** Turns the body of a row into the body of its answer. */
export interface RowEngine {
  /** Parses one line as strictly as the live endpoints parse theirs. Throws `invalid_request`. */
  parse(line: Buffer): unknown;
  /**
   * Rejects with an `InterleaveError` for a row that cannot be answered, with `worker_unavailable` or `overloaded` for
   * one that could later, and soon after `signal` is aborted.
   */
  answer(request: RowRequest, signal: AbortSignal): Promise<object>;
  errorBody(endpoint: Endpoint, error: InterleaveError): object;
  /** Null when the model can be served or may become ready; else why not. Version null: any. */
  modelProblem(model: string, version: string | null): { code: string; message: string } | null;
}

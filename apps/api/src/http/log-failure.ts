import type { InterleaveError } from '@app/contracts';
import type { Logger } from '@app/telemetry';
import type { RequestTrace } from '../tracing/request-trace';

/** From this status on it is the server's fault, and an operator wants to know. */
const SERVER_ERROR_MIN = 500;

/** What is said of a request beside its error. */
export interface FailedRequest {
  requestId: string;
  trace: RequestTrace | null;
  /** Of HTTP, or the name of a call. */
  method: string;
  /** Without its query, which may carry what is nobody's business. */
  path?: string;
  /** Empty: not known. */
  model?: string;
}

/** Without its query. */
export const pathOf = ({ url }: { url: string }): string => url.split('?', 1)[0] ?? '';

/** One line for a request that failed for no fault of its caller. What nobody expected is logged with its stack. */
export function logFailure(log: Logger, error: InterleaveError, { requestId, trace, method, path, model }: FailedRequest): void {
  if (error.status < SERVER_ERROR_MIN) return;
  const { code, status } = error;
  const fields = { request_id: requestId, ...trace?.fields, method, path, model: model || undefined, code, status };
  if (code === 'internal') log.error({ ...fields, err: error.cause ?? error }, 'request failed');
  else log.warn({ ...fields, reason: error.message }, 'request failed');
}

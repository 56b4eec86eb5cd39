import { InterleaveError, type ErrorCode } from '@app/contracts';
import { Metadata, status, type StatusObject } from '@grpc/grpc-js';

/** The one table of gRPC codes, by the code of the error (docs/protocols.md §2). */
const STATUS: Record<ErrorCode, status> = {
  invalid_request: status.INVALID_ARGUMENT,
  unauthorized: status.UNAUTHENTICATED,
  forbidden: status.PERMISSION_DENIED,
  model_not_found: status.NOT_FOUND,
  not_found: status.NOT_FOUND,
  method_not_allowed: status.UNIMPLEMENTED,
  request_timeout: status.DEADLINE_EXCEEDED,
  conflict: status.ABORTED,
  too_large: status.RESOURCE_EXHAUSTED,
  unsupported_media_type: status.INVALID_ARGUMENT,
  range_not_satisfiable: status.OUT_OF_RANGE,
  idempotency_mismatch: status.INVALID_ARGUMENT,
  inference_failed: status.INTERNAL,
  overloaded: status.RESOURCE_EXHAUSTED,
  client_closed: status.CANCELLED,
  internal: status.INTERNAL,
  not_supported: status.UNIMPLEMENTED,
  model_not_servable: status.UNAVAILABLE,
  worker_unavailable: status.UNAVAILABLE,
  deadline_exceeded: status.DEADLINE_EXCEEDED,
  storage_full: status.RESOURCE_EXHAUSTED,
  storage_unavailable: status.UNAVAILABLE,
};

/** Trailers have a limit, and a caller's own names may be in the text. */
const DETAILS_CHARACTERS_MAX = 2048;

/** What the caller is told, with when to try again where that helps. `metadata`: goes out with it. */
export function errorStatus(error: InterleaveError, metadata = new Metadata()): StatusObject {
  const seconds = error.waitSeconds;
  if (seconds !== null) {
    metadata.set('retry-after', String(seconds));
    metadata.set('grpc-retry-pushback-ms', String(Math.ceil(seconds * 1000)));
  }
  return { code: STATUS[error.code], details: detailsOf(error), metadata };
}

/** Well-formed, as the encoding of the wire needs it. */
export function detailsOf({ message }: InterleaveError): string {
  return Buffer.from(message.slice(0, DETAILS_CHARACTERS_MAX)).toString();
}

import { InterleaveError } from '@app/contracts';
import { S3ServiceException } from '@aws-sdk/client-s3';
import { storageFull } from '../disk-guard';

const RETRY_AFTER_SECONDS = 5;
const MESSAGE_CHARS_MAX = 200;
/** What the SDK calls an answer without a body that says more, as those of HEAD are. */
const NAMELESS = 'Unknown';

/** HTTP status of an answer; null: none came. */
export function statusOf(error: unknown): number | null {
  return error instanceof S3ServiceException ? (error.$metadata.httpStatusCode ?? null) : null;
}

export const isMissingObject = (error: unknown): boolean => statusOf(error) === 404 && (error as Error).name !== 'NoSuchBucket';

/** The condition of a write does not hold. */
export const isRefusedCondition = (error: unknown): boolean => statusOf(error) === 412;

/** Two conditional writes met, and the store decided for neither of them. */
export const isConflict = (error: unknown): boolean => statusOf(error) === 409;

/** An earlier attempt of the same request may have arrived although its answer did not. */
export const wasRetried = (error: unknown): boolean => error instanceof S3ServiceException && (error.$metadata.attempts ?? 1) > 1;

/**
 * `storage_unavailable`, or `storage_full` when the store says so. What the store answered is not handed on whole: it can hold
 * what was signed, and the id of a key.
 */
export function explainS3Error(error: unknown, address: string): unknown {
  if (error instanceof InterleaveError) return error;
  const { name, message } = error as Error;
  const cause = Object.assign(new Error(`${name}: ${message.slice(0, MESSAGE_CHARS_MAX)}`), { name });
  if (statusOf(error) === 507) return storageFull(`${address} says ${name}`, cause);
  const said = name === NAMELESS ? `status ${statusOf(error)}` : `${name}, ${message.slice(0, MESSAGE_CHARS_MAX)}`;
  return storageUnavailable(address, said, cause);
}

export function storageUnavailable(address: string, reason: string, cause?: unknown): InterleaveError {
  return new InterleaveError('storage_unavailable', `The store ${address} does not do what it is asked: ${reason}. Try again later.`, {
    retryAfterSeconds: RETRY_AFTER_SECONDS,
    cause,
  });
}

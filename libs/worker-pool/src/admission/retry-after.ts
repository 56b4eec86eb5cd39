import { InterleaveError } from '@app/contracts';

export const RETRY_AFTER_SECONDS_MAX = 60;

/**
 * The one refusal of live requests for want of room or time: 429 with `Retry-After` from how long the caller is expected to have to
 * wait, in whole seconds from 1 to RETRY_AFTER_SECONDS_MAX. `waitMs` NaN or 0: not known. `otherwise`: what else would help.
 */
export function overloaded(reason: string, waitMs: number, otherwise = ''): InterleaveError {
  const retryAfterSeconds = Math.min(Math.max(Math.ceil(waitMs / 1000) || 1, 1), RETRY_AFTER_SECONDS_MAX);
  return new InterleaveError('overloaded', `${reason}; try again in ${retryAfterSeconds} s${otherwise}`, { retryAfterSeconds });
}

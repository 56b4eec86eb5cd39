import { setTimeout as sleep } from 'node:timers/promises';
import { ATTEMPTS_MAX, RETRY_AFTER_MS_MAX } from './limits';
import { SourceError, TransientError } from './source-error';

/** Waits before attempt `failures` + 1: doubled each time, with chance so that callers do not come all at once. */
export async function waitBeforeRetry(error: TransientError, failures: number, retryMs: number): Promise<void> {
  const backoffMs = retryMs * 2 ** (failures - 1) * (0.5 + Math.random());
  await sleep(Math.max(backoffMs, Math.min(error.retryAfterMs ?? 0, RETRY_AFTER_MS_MAX)));
}

/** The first result of at most five attempts; only a `TransientError` is worth another one. Rejects with a `SourceError` in the end. */
export async function withRetries<T>(retryMs: number, attempt: () => Promise<T>): Promise<T> {
  for (let failures = 1; ; failures++) {
    try {
      return await attempt();
    } catch (error) {
      if (!(error instanceof TransientError)) throw error;
      if (failures === ATTEMPTS_MAX) throw givenUp(error, failures);
      await waitBeforeRetry(error, failures, retryMs);
    }
  }
}

export function givenUp(error: TransientError, attempts: number): SourceError {
  return new SourceError(`${error.message}, ${attempts} times; try again later`);
}

import { setTimeout as sleep } from 'node:timers/promises';
import { InterleaveError, type ErrorCode } from '@app/contracts';
import type { RowEngine, RowRequest } from './row-engine';

const BACKOFF_MS_MIN = 50;
const BACKOFF_MS_MAX = 5_000;

/**
 * Errors after which a live caller would be told to try again; rows do so by themselves. Not those of a model that failed or is
 * quarantined: its rows fail with the reason, because nobody knows when it comes back.
 */
const PASSING: ReadonlySet<ErrorCode> = new Set<ErrorCode>(['worker_unavailable', 'overloaded']);

/** Answers a row, however long workers are away or busy; `onRefused` is told why it waits. Rejects on abort, or when the row itself is at fault. */
export async function answerPatiently(
  engine: RowEngine,
  request: RowRequest,
  options: { signal: AbortSignal; onRefused: (reason: string) => void },
): Promise<object> {
  const { signal, onRefused } = options;
  for (let attempt = 0; ; attempt++) {
    try {
      return await engine.answer(request, signal);
    } catch (error) {
      if (signal.aborted || !(error instanceof InterleaveError) || !PASSING.has(error.code)) throw error;
      onRefused(error.message);
    }
    await sleep(backoffMs(attempt), undefined, { signal });
  }
}

/** Doubles, with up to half of it by chance, so that rows that were refused together do not come back together. */
function backoffMs(attempt: number): number {
  const full = Math.min(BACKOFF_MS_MIN * 2 ** Math.min(attempt, 16), BACKOFF_MS_MAX);
  return full * (0.5 + Math.random() / 2);
}

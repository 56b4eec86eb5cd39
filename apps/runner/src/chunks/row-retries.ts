import { setTimeout as sleep } from 'node:timers/promises';
import { isPassing } from './passing-errors';
import type { RowEngine, RowRequest } from './row-engine';

const BACKOFF_MS_MIN = 50;
const BACKOFF_MS_MAX = 5_000;

/**
 * Answers a row, however long workers are away or busy; `onRefused` is told why it waits. Rejects on abort, or when the row itself is
 * at fault.
 */
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
      if (signal.aborted || !isPassing(error)) throw error;
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

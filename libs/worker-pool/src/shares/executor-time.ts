import type { ItemTiming } from '@app/contracts';
import { ITEM_STATUSES } from '@app/native';
import type { ChannelAnswer } from '../channel/channel-client';

const NS_PER_US = 1000;
/** With one of these the item did not run. */
const DID_NOT_RUN: ReadonlySet<string | undefined> = new Set([
  'invalid',
  'deadline-exceeded',
  'cancelled',
  'queue-full',
  'unavailable',
  'gone',
]);

/**
 * The part of its run that an item is charged, in ns: all rows of a run are padded to the same size, so each costs the
 * same. Equal items that one run answered are charged as if each had run.
 */
function executorNs({ runUs, runRows }: ItemTiming, rows: number, executorsPerRun: number): number {
  return runUs * NS_PER_US * executorsPerRun * Math.min(1, rows / Math.max(1, runRows));
}

/**
 * Of what a worker said about an item of so many rows, whose runs take so many of its executors; null: it ran, and nobody knows how
 * long.
 */
export function answerExecutorNs(answer: ChannelAnswer, rows: number, executorsPerRun: number): number | null {
  if (answer.kind === 'lost') return answer.suspicion === 'none' ? 0 : null;
  const status = ITEM_STATUSES[answer.completion.status];
  if (status === 'ok') return executorNs(answer.completion.timing, rows, executorsPerRun);
  return DID_NOT_RUN.has(status) ? 0 : null;
}

import type { BatchLogEntry, BatchLogEvent } from '@app/contracts';
import { nowSeconds } from '../files/file-record';

/** The oldest entries go first. */
const ENTRIES_MAX = 100;
const MESSAGE_CHARS_MAX = 200;

/** The log with one more entry; what happens again counts in the last entry. */
export function withLogEntry(log: readonly BatchLogEntry[], event: BatchLogEvent, text: string, at = nowSeconds()): BatchLogEntry[] {
  const message = text.slice(0, MESSAGE_CHARS_MAX);
  const last = log.at(-1);
  if (last?.event === event && last.message === message) return [...log.slice(0, -1), { ...last, at, count: (last.count ?? 1) + 1 }];
  return [...log, { at, event, message }].slice(-ENTRIES_MAX);
}

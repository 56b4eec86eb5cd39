import type { BatchSummary, BatchSummaryPage } from '@app/contracts';

/** A list whose first page is read again and again. */
export interface ShownBatches {
  first: BatchSummaryPage;
  /** Behind the first page, newest first, as they were when they were last read; null: none were asked for. */
  older: readonly BatchSummary[] | null;
  /** Where the next older page begins; null: all are here. */
  next: string | null;
}

export const firstShown = (first: BatchSummaryPage): ShownBatches => ({ first, older: null, next: first.next });

/** Keeps what fell off the first page because newer ones came. */
export function withFirst({ first: before, older, next }: ShownBatches, first: BatchSummaryPage): ShownBatches {
  if (older === null || first.next === null) return firstShown(first);
  const end = first.next;
  // So many are new that some were never read: older ones are to be asked for from there.
  if (before.newest === null || before.newest < end) return firstShown(first);
  return { first, older: [...before.batches, ...older].filter(({ id }) => id < end), next };
}

/** From when an older page is asked for. */
export const askingOlder = (shown: ShownBatches): ShownBatches => ({ ...shown, older: shown.older ?? [] });

/** With the page that was asked for after `after`; as it was, where that is not its end any more. */
export function withOlder(shown: ShownBatches, after: string, page: BatchSummaryPage): ShownBatches {
  if (shown.older === null || shown.next !== after) return shown;
  return { ...shown, older: [...shown.older, ...page.batches], next: page.next };
}

export const batchesOf = ({ first, older }: ShownBatches): BatchSummary[] => [...first.batches, ...(older ?? [])];

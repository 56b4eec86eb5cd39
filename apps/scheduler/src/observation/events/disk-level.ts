import type { VerdictLevel } from '@app/contracts';

export type DiskLevel = VerdictLevel;

/** Free share of a file system below which it is worth a look, and below which uploads fail soon. */
const WATCH_SHARE = 0.1;
const BAD_SHARE = 0.03;

export function diskLevel({ freeBytes, sizeBytes }: { freeBytes: number; sizeBytes: number }): DiskLevel {
  const share = freeBytes / Math.max(1, sizeBytes);
  if (share < BAD_SHARE) return 'bad';
  return share < WATCH_SHARE ? 'watch' : 'ok';
}

/** What to do about a full disk. */
export const diskAdvice = (hasBatchFiles: boolean): string =>
  hasBatchFiles
    ? 'Delete old files and batches, shorten how long they are kept, or give the disk more room.'
    : 'Give the data directory more room; files of batches are not on this disk, so deleting them does not help.';

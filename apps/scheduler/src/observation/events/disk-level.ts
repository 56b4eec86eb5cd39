import type { VerdictLevel } from '@app/contracts';

export type DiskLevel = VerdictLevel;

/** Free share of the file system of the data directory below which it is worth a look, and below which uploads fail soon. */
const WATCH_SHARE = 0.1;
const BAD_SHARE = 0.03;

export function diskLevel({ freeBytes, sizeBytes }: { freeBytes: number; sizeBytes: number }): DiskLevel {
  const share = freeBytes / Math.max(1, sizeBytes);
  if (share < BAD_SHARE) return 'bad';
  return share < WATCH_SHARE ? 'watch' : 'ok';
}

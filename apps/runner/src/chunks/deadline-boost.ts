const BOOST_MAX = 8;

export interface Pace {
  rowsLeft: number;
  /** Over the last minute; 0: unknown. */
  rowsPerSecond: number;
  /** Until the completion window ends. */
  secondsLeft: number;
}

/** How much more a batch is to get that will not be done in time at its pace: as much as would do, at most 8 times; 1: it will be. */
export function deadlineBoost({ rowsLeft, rowsPerSecond, secondsLeft }: Pace): number {
  if (rowsPerSecond <= 0 || rowsLeft <= 0) return 1;
  const secondsWanted = rowsLeft / rowsPerSecond;
  return Math.min(BOOST_MAX, Math.max(1, secondsWanted / Math.max(secondsLeft, 1)));
}

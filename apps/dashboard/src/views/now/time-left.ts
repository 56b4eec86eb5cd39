import type { NodeView } from '@app/contracts';

/** Milliseconds until the last open batch is expected to end; null: not known, as where all are paused. Paused ones do not count. */
export function timeLeftMs({ batches, batchLane }: NodeView): number | null {
  if (batchLane.chunks === null) return null;
  if (batches.length === 0) return 0;
  const expected = batches.filter(({ paused }) => paused === null).map(({ secondsLeft }) => secondsLeft?.expected ?? null);
  const known = expected.filter((seconds) => seconds !== null);
  return known.length === 0 || known.length < expected.length ? null : Math.max(...known) * 1_000;
}

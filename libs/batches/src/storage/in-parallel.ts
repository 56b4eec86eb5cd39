/** Does the work for each item, at most so many at once. Rejects with the first error, once what runs has ended. */
export async function inParallel<T>(items: readonly T[], runningMax: number, work: (item: T) => Promise<void>): Promise<void> {
  let next = 0;
  const lanes = Array.from({ length: Math.min(runningMax, items.length) }, async () => {
    while (next < items.length) await work(items[next++] as T);
  });
  const ends = await Promise.allSettled(lanes);
  const failed = ends.find((end) => end.status === 'rejected');
  if (failed !== undefined) throw failed.reason;
}

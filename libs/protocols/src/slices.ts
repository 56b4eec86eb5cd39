import { setImmediate as nextTurn } from 'node:timers/promises';

/** Pooling and layers of thousands of texts take seconds: the event loop gets a turn after this much of it. */
const SLICE_MS = 5;

/** As `items.map`, with turns of the event loop in between. Rejects with the first error, and maps no further. */
export async function mapInSlices<T, R>(items: readonly T[], map: (item: T, index: number) => R): Promise<R[]> {
  const mapped: R[] = [];
  let sliceEnd = performance.now() + SLICE_MS;
  for (const [index, item] of items.entries()) {
    mapped.push(map(item, index));
    if (performance.now() <= sliceEnd) continue;
    await nextTurn();
    sliceEnd = performance.now() + SLICE_MS;
  }
  return mapped;
}

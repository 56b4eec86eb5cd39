import { InterleaveError, type ItemResult, type ModelReport } from '@app/contracts';
import type { PreparedRequest } from '@app/protocols';
import { itemExecutorNs } from '@app/worker-pool';

const NS_PER_MS = 1e6;

/** Executor time that the items took. Of those without a result nobody knows it: they count as predicted. */
export function measuredMs(
  reports: readonly ModelReport[],
  { model, version, items }: PreparedRequest,
  results: readonly (ItemResult | InterleaveError)[],
  predictedMs: number,
): number {
  const signature = reports.find((report) => report.name === model && report.version === version)?.signature ?? null;
  if (signature === null) return predictedMs;
  return results.reduce((sumMs, result, i) => {
    const item = items[i];
    if (item === undefined || result instanceof InterleaveError) return sumMs + predictedMs / items.length;
    return sumMs + itemExecutorNs(result.timing, item, signature) / NS_PER_MS;
  }, 0);
}

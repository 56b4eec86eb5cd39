import type { ModelComparison, PlacedRelease, RepositoryEvent } from '@app/contracts';
import type { ReleaseView } from './state';

const DECISIONS: ReadonlySet<RepositoryEvent['kind']> = new Set(['promoted', 'rolled-back']);

/** One for each model that has a canary or a mirrored version, or had one that was judged. */
export function releaseViews(
  releases: readonly PlacedRelease[],
  events: readonly RepositoryEvent[],
  comparisons: readonly ModelComparison[],
): ReleaseView[] {
  return releases.flatMap(({ name: model, labels, canary, mirror }) => {
    const decision = events.findLast((event) => event.model === model && DECISIONS.has(event.kind));
    if (canary === null && mirror === null && decision === undefined) return [];
    const compared = (version: string | undefined) => comparisons.find((each) => each.model === model && each.version === version);
    return {
      model,
      stable: labels.stable ?? null,
      canary: canary === null ? null : { version: canary.version, percent: canary.trafficPercent },
      mirror,
      comparison: compared(canary?.version) ?? compared(mirror?.version) ?? null,
      lastDecision: decision === undefined ? null : { atMs: decision.atMs, text: `${decision.kind}: ${decision.message}` },
    };
  });
}

import type { ModelComparison, PlacedRelease, RepositoryEvent } from '@app/contracts';
import { releaseViews } from './release-views';

const release = (name: string, more: Partial<PlacedRelease> = {}): PlacedRelease => {
  return { name, labels: { stable: '1' }, canary: null, mirror: null, rollback: null, promote: null, ...more };
};
const event = (model: string, kind: RepositoryEvent['kind'], atMs: number): RepositoryEvent => {
  return { atMs, model, version: '2', revision: null, kind, message: `${kind} at ${atMs}` };
};

it('shows models with something to test, and those that were decided about, with the last decision', () => {
  const comparison = { model: 'a', version: '2', role: 'mirror' } as ModelComparison;
  const releases = [release('a', { mirror: { version: '2', percent: 20 } }), release('b'), release('c', { labels: {} })];
  const events = [event('a', 'serving', 1), event('c', 'promoted', 2), event('c', 'rolled-back', 3), event('c', 'serving', 4)];
  expect(releaseViews(releases, events, [comparison])).toEqual([
    { model: 'a', stable: '1', canary: null, mirror: { version: '2', percent: 20 }, comparison, lastDecision: null },
    {
      model: 'c',
      stable: null,
      canary: null,
      mirror: null,
      comparison: null,
      lastDecision: { atMs: 3, text: 'rolled-back: rolled-back at 3' },
    },
  ]);
});

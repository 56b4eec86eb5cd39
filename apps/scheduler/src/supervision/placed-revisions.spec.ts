import type { WorkerPlan } from '@app/contracts';
import { PlacedRevisions } from './placed-revisions';

const placement = (...revisions: number[]) => ({
  workers: [{ models: revisions.map((revision) => ({ name: `m${revision}`, version: '1', revision })) } as WorkerPlan],
});

describe('PlacedRevisions', () => {
  it('know a model after it has left the placement', () => {
    const revisions = new PlacedRevisions();
    revisions.note(placement(1, 2));
    revisions.note(placement(2, 3));
    expect([1, 2, 3, 4].map((revision) => revisions.get(revision)?.name)).toEqual(['m1', 'm2', 'm3', undefined]);
  });

  it('forget those that left first', () => {
    const revisions = new PlacedRevisions();
    revisions.note(placement(1, 2));
    for (let revision = 3; revision < 5000; revision += 1) revisions.note(placement(1, revision));
    expect([1, 2, 4999].map((revision) => revisions.get(revision)?.name)).toEqual(['m1', undefined, 'm4999']);
  });
});

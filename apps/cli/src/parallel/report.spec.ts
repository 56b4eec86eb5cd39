import type { ParallelFacts } from './cost-model';
import type { ModelPlace } from './place';
import { parallelReport } from './report';

const FACTS: ParallelFacts = {
  cpus: 2,
  rows: 1,
  weightsBytes: 8,
  widths: [
    { width: 1, ms: 100 },
    { width: 2, ms: 60 },
  ],
  allBusyMs: 110,
  split: { stages: [50, 50].map((ms) => ({ ms, weightsBytes: 4 })), cutBytes: [10] },
  outside: { idleCpus: 0, requestMs: 0, stepMs: 0, mibMs: 0 },
};
const PLACE: ModelPlace = { lane: 'realtime', ownCpus: [0, 1], threads: 1, otherThreads: 1, cpus: [0, 1], memoryBytes: 8 };
const report = (facts: Partial<ParallelFacts>, place: Partial<ModelPlace> = {}, goalMs: number | null = null): string[] =>
  parallelReport({
    ...{ model: 'm', facts: { ...FACTS, ...facts }, length: 8, goalMs, memoryBytes: 8, place: { ...PLACE, ...place } },
  })
    .split('\n')
    .slice(-3);

describe('the advice of plan --parallel', () => {
  it('names both lanes where threads change, and no partition where the model has that many CPUs', () => {
    expect(report({}, { threads: 2, otherThreads: 2 }).at(-1)).toBe('set executorThreads: { realtime: 1, batch: 2 } in model.yaml');
    expect(report({}).at(-1)).toMatch(/^goal: /);
  });

  it('names all that a layout with smaller partitions needs', () => {
    const lines = report({ widths: FACTS.widths.slice(0, 1), allBusyMs: 220 }, { otherThreads: 2 }, 120);
    expect(lines).toEqual([
      'make a partition of 1 CPU in interleave.yaml for m; all other models need a place too',
      'there, executorThreads.batch of m has to be at most 1',
      '1 of 2 CPUs will do: more would gain less than 5 %',
    ]);
  });
});

import { layoutsOf, predict, type Layout, type ParallelFacts } from '../parallel/cost-model';
import { bestForGoal, bestOf, candidates, isSame, LAYOUTS_TRIED, layoutsToTry, trialsOf, type Settings, type Trial } from './search';

const ONE: Layout = { stages: 1, replicas: 2, width: 1 };
const WIDE: Layout = { stages: 1, replicas: 1, width: 2 };
const PRESENT: Settings = { runRowsMax: 32, runTokensMax: 4096, layout: ONE };
const trial = (rowsPerSecond: number, p99Ms: number, settings: Partial<Settings> = {}): Trial => ({
  settings: { ...PRESENT, ...settings },
  rowsPerSecond,
  p99Ms,
});

describe('the search for settings', () => {
  it('tries one size at a time and never the present value', () => {
    expect(candidates('runTokensMax', PRESENT).map(({ runTokensMax }) => runTokensMax)).toEqual([512, 2048, 8192]);
    expect(candidates('runRowsMax', PRESENT).every((settings) => settings.runRowsMax !== 32 && settings.layout === ONE)).toBe(true);
    expect(trialsOf(PRESENT, 2)).toBe(5 + 3 + 2 + 3);
  });

  it('takes the most rows within the goal, and the present settings where nothing gains 5 %', () => {
    const present = trial(100, 10);
    const trials = [present, trial(200, 30, { runRowsMax: 64 }), trial(130, 11, { runRowsMax: 16 }), trial(120, 5, { runRowsMax: 8 })];
    expect(bestOf(trials, present, null).settings.runRowsMax).toBe(16);
    expect(bestOf(trials, present, 30).settings.runRowsMax).toBe(64);
    expect(bestOf([trial(104, 1, { runRowsMax: 1 })], present, 99)).toBe(present);
    expect(isSame(present.settings, { ...PRESENT, layout: { ...ONE } })).toBe(true);
    expect(isSame(present.settings, { ...PRESENT, layout: WIDE })).toBe(false);
  });

  it('gives up rows for a goal that the present settings miss, and comes as near to it as it can', () => {
    const present = trial(100, 20);
    const wide = trial(70, 9, { layout: WIDE });
    expect(bestForGoal([present, wide, trial(60, 8, { layout: WIDE })], present, 10)).toBe(wide);
    expect(bestForGoal([present, wide], present, 5)).toBe(wide);
    expect(bestForGoal([present, wide], present, 30)).toBe(present);
    expect(bestForGoal([present, wide], present, null)).toBe(present);
    expect(bestForGoal([trial(70, 21)], present, 10)).toBe(present);
  });
});

describe('the layouts that are measured', () => {
  const FACTS: ParallelFacts = {
    cpus: 4,
    rows: 1,
    weightsBytes: 8,
    widths: [
      { width: 1, ms: 100 },
      { width: 2, ms: 60 },
      { width: 4, ms: 40 },
    ],
    allBusyMs: 130,
    split: { stages: [50, 50].map((ms) => ({ ms, weightsBytes: 4 })), cutBytes: [10] },
    outside: { idleCpus: 0, requestMs: 0, stepMs: 0, mibMs: 0 },
  };
  const tried = (goalMs: number | null, memoryBytes = Infinity, facts = FACTS): string[] =>
    layoutsToTry(
      layoutsOf(facts).map((layout) => predict(layout, facts)),
      { stages: 1, replicas: 4, width: 1 },
      { goalMs, memoryBytes },
    ).map(({ layout: { stages, replicas, width } }) => `${stages}x${replicas}x${width}`);

  it('are those with the most rows, without the present one', () => {
    expect(tried(null).slice(0, 2)).toEqual(['2x2x1', '1x2x2']);
    expect(tried(null)).toHaveLength(LAYOUTS_TRIED);
  });

  it('are first those within the goal, and then the fastest of the others', () => {
    expect(tried(50).slice(0, 2)).toEqual(['1x1x4', '1x1x2']);
  });

  it('are none that needs more memory than there is, or a split that is not there', () => {
    expect(tried(null, 8)).not.toContain('1x2x2');
    expect(tried(null, Infinity, { ...FACTS, split: null }).filter((text) => !text.startsWith('1x'))).toEqual([]);
  });
});

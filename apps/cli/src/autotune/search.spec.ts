import { bestOf, candidates, fastestOf, isSame, needsThreads, p99Goal, trialsOf, type Settings, type Trial } from './search';

const PRESENT: Settings = { runRowsMax: 32, runTokensMax: 4096, executors: 2, executorThreads: 1 };
const trial = (rowsPerSecond: number, p99Ms: number, settings: Partial<Settings> = {}): Trial => ({
  settings: { ...PRESENT, ...settings },
  rowsPerSecond,
  p99Ms,
});

describe('the search for settings', () => {
  it('tries one key at a time and never the present value', () => {
    expect(candidates('executors', PRESENT, 6).map(({ executors }) => executors)).toEqual([1, 4, 6]);
    expect(candidates('runRowsMax', PRESENT, 6).every((settings) => settings.runRowsMax !== 32 && settings.executors === 2)).toBe(true);
    expect(trialsOf(PRESENT, 1)).toBe(1 + 5 + 3 + 3);
    expect(trialsOf(PRESENT, 4)).toBe(2 + 5 + 3 + 3 + 3);
  });

  it('tries as many threads of a run as there are executors, where one thread is too slow for the goal', () => {
    expect(candidates('executorThreads', { ...PRESENT, executors: 4 }, 8).map(({ executorThreads }) => executorThreads)).toEqual([2, 3, 4]);
    expect(candidates('executors', { ...PRESENT, executorThreads: 2 }, 4).map(({ executors }) => executors)).toEqual([4]);
    expect([needsThreads(trial(1, 20), 10), needsThreads(trial(1, 5), 10), needsThreads(trial(1, 20), null)]).toEqual([true, false, false]);
    expect(fastestOf([trial(9, 3), trial(1, 2), trial(5, 4)])?.p99Ms).toBe(2);
  });

  it('takes the most rows within the goal, and the present settings where nothing gains 5 %', () => {
    const present = trial(100, 10);
    const trials = [present, trial(200, 30, { runRowsMax: 64 }), trial(130, 11, { runRowsMax: 16 }), trial(120, 5, { runRowsMax: 8 })];
    expect(bestOf(trials, present, p99Goal(present, null)).settings.runRowsMax).toBe(16);
    expect(bestOf(trials, present, p99Goal(present, 30)).settings.runRowsMax).toBe(64);
    expect(bestOf([trial(104, 1, { runRowsMax: 1 })], present, 99)).toBe(present);
    expect(isSame(present.settings, { ...PRESENT })).toBe(true);
  });
});

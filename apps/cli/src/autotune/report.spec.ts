import type { Layout, Prediction } from '../parallel/cost-model';
import { autotuneReport, type ReportRequest } from './report';
import type { Trial } from './search';

const ONE: Layout = { stages: 1, replicas: 2, width: 1 };
const STAGED: Layout = { stages: 2, replicas: 1, width: 1 };
const trial = (layout: Layout, rowsPerSecond: number, p99Ms: number): Trial => ({
  settings: { runRowsMax: 32, runTokensMax: 4096, layout },
  rowsPerSecond,
  p99Ms,
});
const prediction = (layout: Layout, rowsPerSecond: number, isMade = true): Prediction => ({
  ...{ layout, rowsPerSecond, isMade, isAssumed: !isMade },
  ...{ latencyMs: 10, bubbleShare: 0, workerBytes: 1, totalBytes: 1, cutBytes: null },
});
const PRESENT = trial(ONE, 100, 20);
const REQUEST: ReportRequest = {
  model: 'encoder',
  version: null,
  place: { lane: 'realtime', ownCpus: [0, 1], threads: 1, otherThreads: 1, cpus: [0, 1], memoryBytes: 2 },
  leftOut: 0,
  sloMs: null,
  trials: [PRESENT],
  present: PRESENT,
  best: PRESENT,
  again: null,
  goalMs: 22,
  predictions: [prediction(ONE, 50), prediction(STAGED, 60)],
};

describe('what autotune says', () => {
  it('tells what was predicted beside what was measured, and where to put the stages that it chose', () => {
    const best = trial(STAGED, 130, 15);
    const text = autotuneReport({ ...REQUEST, trials: [PRESENT, best], best, again: best });
    expect(text).toMatch(/^2 +1 +1 +32 +4096 +130 +1\.20 +15\.0/m);
    expect(text).toContain('2 of the 2 layouts that fit 2 CPUs were measured.');
    expect(text).toMatch(/best: 2 stages, 1 run at once in each, 1 thread a run.*: 30 % more rows a second/);
    expect(text).toContain(
      'callers use encoder-pipeline\nexecutors are the CPUs of a partition: make a partition of 1 CPU in interleave.yaml for ' +
        'encoder-stage-1, another for encoder-stage-2; all other models need a place too',
    );
    expect(text).not.toMatch(/has to be at most|itself has runs/);
    const place = { ...REQUEST.place, threads: 2, otherThreads: 2 };
    const wider = autotuneReport({ ...REQUEST, place, trials: [PRESENT, best], best, again: best });
    expect(wider).toContain('there, executorThreads.batch of encoder-stage-1, encoder-stage-2 has to be at most 1\n');
    expect(wider).toContain('encoder itself has runs of 2 threads: give it a partition of 2 CPUs, or at most 1 executorThreads');
  });

  it('says why fewer rows were chosen', () => {
    const best = trial({ stages: 1, replicas: 1, width: 2 }, 80, 12);
    const text = autotuneReport({ ...REQUEST, sloMs: 15, goalMs: 15, best, again: best });
    expect(text).toMatch(/20 % fewer rows a second, p99 12\.0 ms \(present 20\.0 ms\), which keeps the goal/);
    expect(text).not.toContain('partitions of interleave.yaml');
  });

  it('says where the present settings stay, and where a split that is not there is predicted to be better', () => {
    expect(autotuneReport(REQUEST)).toContain('the present settings are the best: nothing gains 5 % within the goal');
    expect(autotuneReport({ ...REQUEST, goalMs: 10 })).toContain('though over the goal');
    const predictions = [prediction(ONE, 50), prediction(STAGED, 60, false)];
    expect(autotuneReport({ ...REQUEST, predictions })).toContain('interleave split encoder --stages 2, then ask again');
    expect(autotuneReport({ ...REQUEST, predictions, version: '3' })).toContain('--stages 2 --model-version 3, then');
    expect(autotuneReport({ ...REQUEST, predictions: [prediction(ONE, 58), prediction(STAGED, 60, false)] })).not.toContain(
      'split encoder',
    );
  });

  it('says what seemed better until it was measured again', () => {
    const present = trial(ONE, 413, 21);
    const again = trial({ ...ONE, replicas: 1 }, 193, 25);
    const text = autotuneReport({ ...REQUEST, trials: [PRESENT, trial(again.settings.layout, 175, 16)], present, best: present, again });
    expect(text).toContain(
      'the present settings are the best: 1 run at once, 1 thread a run, runRowsMax 32, runTokensMax 4096 seemed better, but measured ' +
        'again in turns gave 193 rows a second, p99 25.0 ms; the present ones 413 rows a second, p99 21.0 ms',
    );
    expect(text).not.toContain('nothing gains');
  });

  it('says for how many settings the time was too short', () => {
    expect(autotuneReport({ ...REQUEST, leftOut: 3 })).toContain('for 3 settings there was no time: give a larger --budget');
  });
});

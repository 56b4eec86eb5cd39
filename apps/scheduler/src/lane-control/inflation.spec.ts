import type { WorkerPlan } from '@app/contracts';
import { ServiceCounts } from '@app/native';
import { InflationWindow } from './inflation';
import { LiveAnswers } from './live-answers';
import { INFLATION_ANSWERS_MIN, INFLATION_WINDOW_MS } from './thresholds';

/** Buckets 96 and 128 begin at 128 and 256 µs, an octave apart. */
const counts = (bucket: number, count: number): ServiceCounts => ServiceCounts.of([bucket, count]);

describe('inflation', () => {
  it('is p99 beside batch runs divided by p99 without', () => {
    const window = new InflationWindow();
    window.add(counts(128, 500), counts(96, 500), 0);
    const { inflation, sharedP99Ms, aloneP99Ms } = window.read();
    expect(sharedP99Ms).toBeCloseTo(0.256 + 0.99 * 0.008, 6);
    expect(aloneP99Ms).toBeCloseTo(0.128 + 0.99 * 0.004, 6);
    expect(inflation).toBeCloseTo(2, 6);
  });

  it('is not known with too few answers of one kind', () => {
    const window = new InflationWindow();
    window.add(counts(128, 10_000), counts(96, INFLATION_ANSWERS_MIN - 1), 0);
    expect(window.read()).toMatchObject({
      inflation: null,
      aloneP99Ms: null,
      sharedAnswers: 10_000,
      aloneAnswers: INFLATION_ANSWERS_MIN - 1,
    });
    window.add(new ServiceCounts(), counts(96, 1), 1000);
    expect(window.read().inflation).toBeGreaterThan(1.9);
  });

  it('forgets what is older than the window', () => {
    const window = new InflationWindow();
    window.add(counts(128, 500), counts(96, 500), 0);
    window.add(new ServiceCounts(), new ServiceCounts(), INFLATION_WINDOW_MS);
    expect(window.read()).toMatchObject({ inflation: null, sharedAnswers: 0 });
  });
});

describe('answers of a live worker', () => {
  const plan = { id: 'w', models: [{ name: 'm', version: '1', sloMs: 5 }] } as WorkerPlan;
  const report = (shared: number, alone: number, other: number) => ({
    service: [{ name: 'm', version: '1', shared: [40, shared], alone: [40, alone], other: [50, other] }],
  });
  const total = (answers: LiveAnswers, from: ReturnType<typeof report> | null): number | undefined => answers.read(from, 0)[0]?.all.total;

  it('are what is new since the last reading, and of a new process everything', () => {
    const answers = new LiveAnswers(plan);
    expect(total(answers, report(10, 0, 0))).toBe(0);
    expect(total(answers, report(12, 3, 4))).toBe(9);
    expect(total(answers, null)).toBe(0);
    expect(total(answers, report(12, 3, 5))).toBe(1);
    expect(total(answers, report(2, 0, 0))).toBe(2);
  });
});

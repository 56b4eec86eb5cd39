import { layoutOf } from '../support/layout';
import { cellsOf, liveHalf, type Cell } from './arrangements';
import { chartOf } from './chart';
import { figuresOf, type CellRounds } from './figures';
import type { Measured } from './measure';

const layout = layoutOf(2);
const cells = cellsOf(layout, ['interleave', 'no-priorities', 'split'], ['encoder-tiny', 'encoder-small']);
const cellOf = (name: Cell['name']): Cell => cells.find((cell) => cell.name === name) as Cell;

/** 10 s on one CPU: 100 live rows of 1 to 100 times `ms`, the live executors half of the time. */
function measured(ms: number, batchTokens: number): Measured {
  const live = Array.from({ length: 100 }, (_, i) => ({
    sentMs: i,
    lateMs: 0,
    latencyMs: (i + 1) * ms,
    queueMs: 0,
    runMs: 0,
    error: null,
  }));
  const none = { cpuSeconds: 0, waitSeconds: 0, slices: 0 };
  const cpu = { wallSeconds: 10, idleSeconds: 1, stealSeconds: 0, live: { cpuSeconds: 5, waitSeconds: 0.1, slices: 1000 }, batch: none };
  return { seconds: 10, cpu, live, runRows: batchTokens / 10, batchTokens };
}

const rounds = (name: Cell['name'], ...each: Measured[]): CellRounds => ({ cell: cellOf(name), rounds: each });

describe('cells of the mixed bench', () => {
  it('leave CPU 0 to the generators, and divide both CPUs where there are only two', () => {
    expect(layout).toEqual({ systemCpu: 0, partitionCpus: [1], splitCpus: [0, 1] });
    expect(liveHalf(layout)).toEqual([1]);
    expect(layoutOf(5)).toEqual({ systemCpu: 0, partitionCpus: [1, 2, 3, 4], splitCpus: [1, 2, 3, 4] });
    expect(liveHalf(layoutOf(5))).toEqual([3, 4]);
    expect(() => layoutOf(1)).toThrow(/expected at least 2 CPUs/);
  });

  it('have the live lane alone twice, and the batch load alone once for each model', () => {
    expect(cells.filter(({ name }) => name === 'live alone')).toHaveLength(2);
    expect(cells.filter(({ name }) => name === 'batch alone').map(({ batchModel }) => batchModel)).toEqual([
      'encoder-tiny',
      'encoder-small',
    ]);
  });
});

describe('figures of the mixed bench', () => {
  const alone: [CellRounds, CellRounds] = [
    rounds('live alone', measured(1, 0), measured(2, 0)),
    rounds('live alone', measured(1, 0), measured(2, 0)),
  ];
  const shared = rounds('Interleave', measured(1.1, 4000), measured(2.2, 4000));
  const figures = figuresOf(
    0.5,
    shared,
    { alone, awake: rounds('live alone, awake', measured(1, 0)) },
    rounds('batch alone', measured(1, 10_000)),
  );

  it('compare p99 within each round and over all samples', () => {
    expect(figures.samples).toBe(200);
    expect(figures.inflationOfRounds).toBeCloseTo(1.1);
    expect(figures.inflation).toBeCloseTo(1.1);
    expect(figures.noise).toBe(1);
    expect(figures.inflationOfAwake).toBeGreaterThan(2);
  });

  it('count as harvest what the batch load gets of the CPU time that the live lane leaves', () => {
    expect(figures.liveCpuShare).toBeCloseTo(0.5);
    expect(figures.harvest).toBeCloseTo(0.8);
    expect(figures.busyShare).toBeCloseTo(0.9);
    expect(figures.wakeDelayUs).toBeCloseTo(100);
  });

  it('are drawn, the live lane alone beside what it is compared with', () => {
    const aloneFigures = figuresOf(0.5, alone[0], { alone, awake: alone[0] }, null);
    const chart = chartOf([aloneFigures, figures]);
    expect(chart.match(/<text [^>]*>live 50 %<\/text>/g)).toHaveLength(3);
    expect(chart.match(/text-anchor="middle"/g)).toHaveLength(6);
  });
});

import type { PeerFigures } from './figures';
import type { PeerResult } from './results';
import { tablesOf } from './table';

const load = (inTimePerSecond: number, p99Ms: number) => ({
  requests: 1,
  answeredPerSecond: inTimePerSecond,
  inTimePerSecond,
  inTimeShare: 1,
  failedShare: 0,
  p50Ms: p99Ms,
  p99Ms,
});

const figures = (rate: number, p99Ms: number, jobs: string[]): PeerFigures => ({
  many: load(rate, p99Ms),
  mixed: {
    livePerSecond: rate / 2,
    alone: load(rate, p99Ms),
    jobs: jobs.map((job, index) => ({ job, live: load(rate, p99Ms * (index + 2)), jobRowsPerSecond: rate + index })),
  },
});

const result = (title: string, ours: number): PeerResult => ({
  peer: title,
  title,
  settings: { workers: 2, threads: 1, rowsMax: 8, waitMs: 5, timeoutMs: 30_000, requestsMax: 48 },
  seconds: 8,
  figures: figures(40, 800, ['4', '32']),
  interleave: figures(ours, 200, ['batch', 'gate']),
});

describe('tablesOf', () => {
  const tables = tablesOf([result('A', 80), result('B', 100)]);

  it('compares a peer with its own run, and says how many times as good Interleave was', () => {
    expect(tables).toContain('| A | 40 (2.0) | 40 (2.0) | 800 (4.0) |');
    expect(tables).toContain('| B | 40 (2.5) | 40 (2.5) | 800 (4.0) |');
  });

  it('gives Interleave the median of its runs', () => expect(tables).toContain('| **Interleave** | 90 | 90 | 200 |'));

  it('sets each job of a peer beside the batch lane', () => {
    expect(tables).toContain('| A | 20 | 800 (4.0) | 1600 (4.0) | 40 (2.0) | 2400 (6.0) | 0 | 41 (2.0) |');
  });

  it('sets the jobs of Interleave beside one another', () => {
    expect(tables).toContain('| batch | 400 | 400 | 90 |');
    expect(tables).toContain('| gate | 600 | 600 | 91 |');
  });

  it('leaves out what was not measured', () => expect(tables).toContain('| A | – | – | – | – |'));
});

import { chartOf } from './chart';
import type { PeerResult } from './results';

const load = (p99Ms: number) => ({
  requests: 1,
  answeredPerSecond: 1,
  inTimePerSecond: 1,
  inTimeShare: 1,
  failedShare: 0,
  p50Ms: p99Ms,
  p99Ms,
});

const result = (title: string, p99Ms: number, oursMs: number): PeerResult => ({
  peer: title,
  title,
  settings: { workers: 2, threads: 1, rowsMax: 8, waitMs: 5, timeoutMs: 30_000, requestsMax: 48 },
  seconds: 8,
  figures: { mixed: { livePerSecond: 9, alone: load(p99Ms), jobs: [{ job: '4', live: load(p99Ms), jobRowsPerSecond: 7 }] } },
  interleave: { mixed: { livePerSecond: 9, alone: load(oursMs), jobs: [{ job: 'batch', live: load(oursMs), jobRowsPerSecond: 8 }] } },
});

describe('chartOf', () => {
  const chart = chartOf([result('LitServe 0.2.19', 321, 30), result('Mosec 0.9.8', 432, 50)]);

  it('draws every server with its value and names it without its version', () => {
    for (const value of ['321', '432']) expect(chart).toContain(`>${value}</text>`);
    expect(chart).toContain('>LitServe</text>');
  });

  it('draws Interleave once, with the median of the runs', () => {
    expect(chart).toContain('>40</text>');
    expect(chart).not.toContain('>30</text>');
  });

  it('draws nothing where nothing was measured', () => expect(chart).not.toContain('NaN'));
});

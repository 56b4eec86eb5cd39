import { statusText } from './model-releases';

describe('interleave models status', () => {
  it('shows versions with their share of the traffic, and the newest events', () => {
    const placed = { name: 'm', state: 'serving' as const, reason: null };
    const text = statusText({
      versions: [
        { ...placed, version: '1', serving: 3, next: 7, reason: 'its new files\u001b[2J' },
        { ...placed, version: '2', serving: 4, next: null },
        { ...placed, name: 'n', version: '1', serving: null, next: null, state: 'unloaded' },
      ],
      releases: [
        {
          name: 'm',
          labels: { stable: '1', canary: '2' },
          canary: { version: '2', trafficPercent: 10 },
          mirror: { version: '2', percent: 50 },
          rollback: null,
          promote: null,
        },
      ],
      events: [{ atMs: 0, model: 'm', version: '2', revision: 4, kind: 'serving', message: 'revision 4 serves' }],
    });
    expect(text.split('\n')).toEqual([
      'MODEL  VERSION  REVISION  STATE                       LABELS  CANARY  MIRROR  REASON',
      'm      1        3 -> 7    serving, new files loading  stable                  its new files?[2J',
      'm      2        4         serving                     canary  10 %    50 %',
      'n      1                  unloaded',
      '',
      'Newest events:',
      '1970-01-01T00:00:00Z  serving  m version 2: revision 4 serves',
    ]);
    expect(statusText({ versions: [], releases: [], events: [] })).toBe('no models');
  });

  it('shows how the answers of a version compare', () => {
    const measured = {
      requests: 3,
      dropped: 1,
      rows: 6,
      agreeing: 5,
      incomparable: 0,
      labelFlips: 1,
      largestDifference: 0.25,
      timeRatio: 0.5,
    };
    const figures = { sinceMs: 0, requestsTotal: 40, requests: 40, errors: 2, stableRequests: 90, stableErrors: 0 };
    const comparisons = [
      { model: 'm', version: '2', stable: '1', role: 'mirror' as const, ...measured, cosineMin: 0.99912345, canary: null },
      {
        model: 'm',
        version: '3',
        stable: '1',
        role: 'canary' as const,
        ...measured,
        rows: 0,
        cosineMin: null,
        canary: { ...figures, p99Ms: 3, stableP99Ms: 2, p99Ratio: 1.5, comparedRows: 0, agreement: null },
      },
    ];
    const text = statusText({ versions: [], releases: [], events: [], comparisons });
    expect(text.split('\n').map((line) => line.split(/ {2,}/))).toEqual([
      ['no models'],
      [''],
      ['MODEL', 'TESTED', 'ROWS', 'AGREE', 'FLIPS', 'COSINE MIN', 'DIFFERENCE MAX', 'TIME', 'DROPPED', 'P99', 'FAILED'],
      ['m', '2 (mirror) beside 1', '6', '83.33 %', '1', '0.999123', '0.25', '0.5', '1'],
      ['m', '3 (canary) beside 1', '0', '1', '0.25', '0.5', '1', '1.5', '2 of 40'],
    ]);
  });
});

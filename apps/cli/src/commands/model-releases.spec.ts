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
});

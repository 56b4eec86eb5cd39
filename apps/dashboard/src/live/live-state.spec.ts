import type { NodeSnapshot, NodeView } from '@app/contracts';
import { columnsOf, stacked } from './columns';
import { after, CONNECTING, STALE_MS, staleMs } from './live-state';

const snapshot: NodeSnapshot = {
  view: { version: '1', atMs: 1, events: [] } as unknown as NodeView,
  history: { stepMs: 1_000, series: ['cpuLive', 'cpuBatch'], points: [{ atMs: 1_000, values: [0.2, null] }] },
};

describe('what the page knows', () => {
  const open = after(CONNECTING, { type: 'snapshot', data: snapshot }, 5);

  it('begins with a snapshot and goes on with deltas', () => {
    expect(open).toMatchObject({ link: 'open', snapshot, receivedAtMs: 5 });
    const point = { atMs: 2_000, values: [0.3, 0.1] };
    const next = after(open, { type: 'delta', data: { view: { atMs: 2 }, events: [], points: [point] } }, 6);
    expect(next.snapshot?.view).toMatchObject({ version: '1', atMs: 2 });
    expect(next.snapshot?.history.points).toHaveLength(2);
  });

  it('ignores a delta to nothing', () => {
    expect(after(CONNECTING, { type: 'delta', data: { view: {}, events: [], points: [] } }, 6)).toBe(CONNECTING);
  });

  it('keeps what it knew while nobody answers, and says how old that is', () => {
    const away = after(open, { type: 'away', data: { sinceMs: 6, reason: 'the scheduler does not answer' } }, 6);
    expect(away).toMatchObject({ link: 'away', snapshot, problem: 'the scheduler does not answer' });
    const lost = after(away, { type: 'lost', problem: 'no answer' }, 7);
    expect(lost).toMatchObject({ link: 'broken', snapshot, problem: 'no answer' });
    expect([staleMs(lost, 6), staleMs(lost, 5 + STALE_MS + 1), staleMs(CONNECTING, 1e9)]).toEqual([null, STALE_MS + 1, null]);
    expect(after(lost, { type: 'connected' }, 8)).toMatchObject({ link: 'open', problem: null });
  });
});

describe('columns of a history', () => {
  it('have the times in seconds and gaps where nothing is known', () => {
    const columns = columnsOf(snapshot.history);
    expect([columns.times, columns.of('cpuLive'), columns.of('cpuBatch'), columns.of('inflation')]).toEqual([[1], [0.2], [null], [null]]);
  });

  it('are put on top of each other', () => {
    expect(
      stacked([
        [1, 2, null],
        [1, null, 1],
        [3, 3, 3],
      ]),
    ).toEqual([
      [1, 2, null],
      [2, null, null],
      [5, null, null],
    ]);
  });
});

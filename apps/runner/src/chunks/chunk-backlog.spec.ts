import { ChunkBacklog } from './chunk-backlog';

const nothing = () => false;

describe('ChunkBacklog', () => {
  it('deals the chunks out in order, without those that are done', () => {
    const backlog = new ChunkBacklog(4);
    expect([1, 2, 3, 4].map(() => backlog.take((index) => index === 1))).toEqual([0, 2, 3, null]);
  });

  it('deals a lost chunk out again at once, before the others', () => {
    const backlog = new ChunkBacklog(3);
    backlog.take(nothing);
    backlog.giveBack(0, false);
    expect(backlog.take(nothing)).toBe(0);
    expect([backlog.timesTaken(0), backlog.timesTaken(1)]).toEqual([2, 0]);
  });

  it('lets a chunk that failed wait, longer each time, and the others go on meanwhile', () => {
    let nowMs = 0;
    const backlog = new ChunkBacklog(2, () => nowMs);
    backlog.take(nothing);
    backlog.giveBack(0, true);
    expect([backlog.take(nothing), backlog.take(nothing)]).toEqual([1, null]);
    nowMs = 1000;
    expect(backlog.take(nothing)).toBe(0);
    backlog.giveBack(0, true);
    nowMs = 2999;
    expect(backlog.take(nothing)).toBeNull();
    nowMs = 3000;
    expect(backlog.take(nothing)).toBe(0);
  });
});

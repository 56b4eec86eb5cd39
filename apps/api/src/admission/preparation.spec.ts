import { Preparation } from './preparation';

describe('Preparation', () => {
  let nowMs = 0;
  const open = (requestsMax = 10): Preparation => new Preparation(requestsMax, () => nowMs);
  const overloaded = (retryAfterSeconds: number): Error => expect.objectContaining({ code: 'overloaded', retryAfterSeconds }) as Error;

  /** One request of 1000 bytes that took 2 s and became 4 items. */
  function teach(preparation: Preparation, kind: string): void {
    const request = preparation.enter(kind, 1000, 0);
    nowMs += 2000;
    preparation.leave(request, 4);
  }

  it('refuses past its number of requests', () => {
    const preparation = open(2);
    const first = preparation.enter('a', 1, 0);
    preparation.enter('a', 1, 0);
    expect(() => preparation.checkRoom(0, 10_000)).toThrow(overloaded(1));
    preparation.leave(first, null);
    preparation.leave(first, null);
    expect(() => preparation.checkRoom(0, 10_000)).not.toThrow();
  });

  it('refuses when preparing takes longer than an eighth of the time for the answer, with the time to wait', () => {
    const preparation = open();
    teach(preparation, 'a');
    const requests = [preparation.enter('a', 2000, 0), preparation.enter('a', 500, 0)];
    const { waitMs } = preparation.ahead();
    expect(waitMs).toBe(5000);
    expect(() => preparation.checkRoom(waitMs, 40_000)).not.toThrow();
    expect(() => preparation.checkRoom(waitMs, 16_000)).toThrow(overloaded(3));
    for (const request of requests) preparation.leave(request, null);
    expect(preparation.ahead().waitMs).toBe(0);
  });

  it('predicts from requests of the same kind, and counts work and items until they have left', () => {
    const preparation = open();
    teach(preparation, 'a');
    const other = preparation.enter('b', 1_000_000, 7);
    expect(preparation.ahead()).toEqual({ waitMs: 0, items: 0, workNs: 7 });
    const same = preparation.enter('a', 500, 5);
    expect(preparation.ahead()).toEqual({ waitMs: 1000, items: 2, workNs: 12 });
    preparation.leave(other, null);
    preparation.leave(same, null);
    expect(preparation.ahead()).toEqual({ waitMs: 0, items: 0, workNs: 0 });
  });
});

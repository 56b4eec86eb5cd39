import { LoadMeter } from './load-meter';

/** A live lane whose numbers the test says, and its clock. */
class Lane {
  nowMs = 0;
  ran = 0;
  waitingMs = 0;
  width = 1;
  readonly meter = new LoadMeter({ ranMs: () => this.ran, backlogMs: () => this.waitingMs, executors: () => this.width }, () => this.nowMs);

  /** Answers so many requests a second for so long, each for `costMs` of executor time. */
  answer(seconds: number, perSecond: number, costMs: number, status = 200): this {
    for (let count = 0; count < seconds * perSecond; count++) {
      this.nowMs += 1000 / perSecond;
      this.ran += costMs;
      this.meter.answered(status);
      this.meter.report();
    }
    return this;
  }

  /** As a proxy weighs it. */
  get weight(): number {
    const { rps, load, eps } = this.meter.report() ?? { rps: 0, load: 1, eps: 0 };
    return rps / (load + (rps === 0 ? 0 : (eps / rps) * 0.001));
  }
}

describe('LoadMeter', () => {
  it('says what was answered, how busy the executors were and what waits', () => {
    const lane = new Lane();
    lane.width = 2;
    lane.waitingMs = 30;
    lane.answer(30, 50, 20);
    const report = lane.meter.report();
    expect(report?.rps).toBeCloseTo(50, 1);
    expect(report?.utilization).toBeCloseTo(0.5, 2);
    expect(report?.backlogMs).toBeCloseTo(30, 1);
    expect(report?.eps).toBe(0);
  });

  it('gives a node that is three times as slow a third of the weight, however many requests each has', () => {
    const fast = new Lane().answer(30, 30, 5);
    const slow = new Lane().answer(30, 10, 15);
    expect(fast.weight / slow.weight).toBeCloseTo(3, 0);
  });

  it('gives a node with twice the executors twice the weight', () => {
    const wide = new Lane();
    wide.width = 2;
    expect(wide.answer(30, 20, 10).weight / new Lane().answer(30, 20, 10).weight).toBeCloseTo(2, 1);
  });

  it('gives less to a node with work that waits', () => {
    const late = new Lane();
    late.waitingMs = 50;
    expect(late.answer(30, 20, 25).weight / new Lane().answer(30, 20, 25).weight).toBeCloseTo(0.5, 1);
  });

  it('gives less to a node that refuses, and does not take refusals for quick answers', () => {
    const refusing = new Lane().answer(30, 10, 20);
    refusing.answer(30, 100, 0, 429);
    expect(refusing.weight).toBeLessThan(new Lane().answer(30, 10, 20).weight / 100);
  });

  it('does not take errors of the caller for answers', () => {
    const lane = new Lane().answer(30, 100, 0, 404);
    expect(lane.meter.report()).toBeNull();
  });

  it('does not take a node whose answers ran nothing for one without limits', () => {
    const { weight } = new Lane().answer(30, 100, 0);
    expect(weight / 1000).toBeCloseTo(5000, -2);
  });

  it('says nothing before the first answer, and long after the last', () => {
    const lane = new Lane();
    expect(lane.meter.report()).toBeNull();
    lane.answer(1, 10, 1);
    lane.nowMs += 600_000;
    expect(lane.meter.report()).toBeNull();
  });

  it('forgets within seconds', () => {
    const lane = new Lane().answer(30, 20, 5);
    const before = lane.weight;
    expect(before / lane.answer(10, 20, 15).weight).toBeCloseTo(3, 0);
  });
});

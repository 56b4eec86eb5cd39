import { RowPace } from './row-pace';

/** A pace after `seconds` of one sample a second, `rowsIn` the rows of each. */
function paceAfter(seconds: number, rowsIn: (second: number) => number): RowPace {
  const pace = new RowPace();
  let rows = 0;
  pace.add(0, 0);
  for (let second = 1; second <= seconds; second++) pace.add((rows += rowsIn(second)), second * 1000);
  return pace;
}

describe('RowPace', () => {
  it('knows nothing before the first row', () => {
    expect(new RowPace().read()).toBeNull();
    expect(paceAfter(30, () => 0).read()).toBeNull();
  });

  it('does not count the time before the first row', () => {
    expect(paceAfter(30, (second) => (second <= 20 ? 0 : 100)).read()?.perSecond).toBeCloseTo(100, 5);
  });

  it('is of the last minute', () => {
    expect(paceAfter(300, (second) => (second <= 200 ? 10 : 500)).read()?.perSecond).toBeCloseTo(500, 5);
  });

  it('is unknown again once nothing was done for a minute', () => {
    expect(paceAfter(100, (second) => (second <= 39 ? 100 : 0)).read()).toBeNull();
  });

  it('is narrow for an even pace, wide for an uneven one, and never certain', () => {
    const even = paceAfter(60, () => 100).read()?.spread ?? 0;
    const uneven = paceAfter(60, (second) => (second % 10 === 0 ? 1000 : 0)).read()?.spread ?? 0;
    const new_ = paceAfter(4, () => 100).read()?.spread ?? 0;
    expect(even).toBe(0.05);
    expect(uneven).toBeGreaterThan(0.2);
    expect(new_).toBe(0.5);
  });

  it('is of a shorter time where that is asked for, and wide when the pace changes', () => {
    const pace = paceAfter(60, (second) => (second <= 40 ? 100 : 200));
    expect(pace.read(10_000)).toEqual({ perSecond: 200, spread: 0.05 });
    expect(pace.read()?.perSecond).toBeLessThan(150);
    expect(pace.read()?.spread).toBeGreaterThan(0.3);
  });

  it('forgets what was before a pause', () => {
    const pace = paceAfter(60, () => 100);
    pace.forget();
    pace.add(6000, 1_000_000);
    expect(pace.read()).toBeNull();
    pace.add(6050, 1_001_000);
    expect(pace.read()?.perSecond).toBeCloseTo(50, 5);
  });
});

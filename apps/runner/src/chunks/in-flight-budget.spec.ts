import { InFlightBudget } from './in-flight-budget';

const never = new AbortController().signal;

/** Which of the waiting ones have been admitted by now. */
async function admitted(waiting: Promise<number | null>[]): Promise<(number | null | 'waits')[]> {
  return Promise.all(waiting.map((one) => Promise.race([one, new Promise<'waits'>((resolve) => setImmediate(() => resolve('waits')))])));
}

describe('InFlightBudget', () => {
  it('admits up to the number of rows, then in the order of asking', async () => {
    const budget = new InFlightBudget({ rowsMax: 2, bytesMax: 100 });
    const asked = [1, 2, 3, 4].map((bytes) => budget.acquire(bytes, never));
    expect(await admitted(asked)).toEqual([1, 2, 'waits', 'waits']);
    budget.release(1);
    expect(await admitted(asked)).toEqual([1, 2, 'waits', 'waits']);
    budget.answered();
    expect(await admitted(asked)).toEqual([1, 2, 3, 'waits']);
    expect(budget.rowCount).toBe(2);
  });

  it('admits up to the number of bytes, and a row over it alone', async () => {
    const budget = new InFlightBudget({ rowsMax: 10, bytesMax: 100 });
    const asked = [60, 60, 500].map((bytes) => budget.acquire(bytes, never));
    expect(await admitted(asked)).toEqual([60, 'waits', 'waits']);
    budget.release(60);
    expect(await admitted(asked)).toEqual([60, 60, 'waits']);
    budget.release(60);
    expect(await admitted(asked)).toEqual([60, 60, 100]);
  });

  it('has room for all bytes again after rows of fractions of bytes', async () => {
    const bytesMax = 64 * 1024 * 1024;
    const budget = new InFlightBudget({ rowsMax: 100, bytesMax });
    const held: number[] = [];
    // The sum of these, taken and given back in this order, is 7.7e-9 in the end.
    for (let row = 0; row < 60; row++) {
      held.push((await budget.acquire(1_500_000 / (1 + ((row * 4) % 7)) + row / 3, never)) ?? 0);
      if (held.length >= 16) budget.release(held.shift() ?? 0);
    }
    for (const bytes of held) budget.release(bytes);
    expect(await admitted([budget.acquire(bytesMax, never)])).toEqual([bytesMax]);
  });

  it('lets the next ones in when the first in line gives up', async () => {
    const budget = new InFlightBudget({ rowsMax: 10, bytesMax: 100 });
    const stop = new AbortController();
    const asked = [budget.acquire(60, never), budget.acquire(60, stop.signal), budget.acquire(10, never)];
    expect(await admitted(asked)).toEqual([60, 'waits', 'waits']);
    stop.abort();
    expect(await admitted(asked)).toEqual([60, null, 10]);
    expect(await budget.acquire(1, stop.signal)).toBeNull();
  });
});

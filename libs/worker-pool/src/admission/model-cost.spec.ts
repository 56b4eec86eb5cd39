import type { CostGrid, InferenceItem, ModelSignature } from '@app/contracts';
import { CostEstimate, itemWeight } from './model-cost';

const SIGNATURE: ModelSignature = {
  inputs: [
    { name: 'ids', datatype: 'INT64', shape: [-1, -1], axes: ['batch', 'sequence0'] },
    { name: 'other', datatype: 'INT64', shape: [-1, -1], axes: ['batch', 'sequence1'] },
  ],
  outputs: [],
  coalesce: 'padded',
  coalesceReason: null,
};
const GRID: CostGrid = {
  lengths: [10, 20],
  rows: [1, 2],
  runNs: [
    [1000, 1500],
    [2000, 3000],
  ],
};

const item = (rows: number, length: number, other: number): InferenceItem => ({
  inputs: [
    { name: 'ids', datatype: 'INT64', shape: [rows, length], data: new Uint8Array() },
    { name: 'other', datatype: 'INT64', shape: [rows, other], data: new Uint8Array() },
  ],
  outputs: null,
});

describe('predicted cost of items', () => {
  it('weighs an item by its rows and the sum of its sequence axes', () => {
    expect(itemWeight(item(3, 7, 5), SIGNATURE)).toEqual({ rows: 3, length: 12 });
    expect(itemWeight({ inputs: [], outputs: null }, SIGNATURE)).toEqual({ rows: 1, length: 1 });
    expect(itemWeight(item(NaN, -4, 2 ** 60), SIGNATURE)).toEqual({ rows: 1, length: 2 });
  });

  it('multiplies the table with the ratios', () => {
    const cost = CostEstimate.of({ grid: GRID, ratio: { median: 2, high: 3 } }, 1, null);
    expect(cost.expectedNs({ rows: 2, length: 20 }, false)).toBeCloseTo(6000, -1);
    // Two rows share a run.
    expect(cost.expectedNs({ rows: 1, length: 20 }, true)).toBeCloseTo(3000, -1);
    expect(cost.highNs({ rows: 1, length: 10 })).toBeCloseTo(3000, -1);
  });

  it('counts every executor that a run takes', () => {
    const one = CostEstimate.of({ grid: GRID, ratio: { median: 2, high: 3 } }, 1, null);
    const three = CostEstimate.of({ grid: GRID, ratio: { median: 2, high: 3 } }, 3, null);
    const weight = { rows: 1, length: 10 };
    for (const sharesRuns of [false, true])
      expect(three.expectedNs(weight, sharesRuns)).toBeCloseTo(3 * one.expectedNs(weight, sharesRuns), -1);
    expect(three.highNs(weight)).toBeCloseTo(3 * one.highNs(weight), -1);
  });

  it('takes the table of the last report over while its grid is the same, and no other', () => {
    const first = CostEstimate.of({ grid: GRID, ratio: { median: 1, high: 1 } }, 1, null);
    const same = CostEstimate.of({ grid: { ...GRID }, ratio: { median: 2, high: 2 } }, 1, first);
    expect(same.expectedNs({ rows: 1, length: 10 }, false)).toBeCloseTo(2000, -1);
    const other = CostEstimate.of(
      {
        grid: {
          ...GRID,
          runNs: [
            [500, 750],
            [1000, 1500],
          ],
        },
        ratio: { median: 1, high: 1 },
      },
      1,
      same,
    );
    expect(other.expectedNs({ rows: 1, length: 10 }, false)).toBeCloseTo(500, -1);
  });

  it('says what is wrong with a grid', () => {
    expect(() => CostEstimate.of({ grid: { ...GRID, rows: [2, 1] }, ratio: { median: 1, high: 1 } }, 1, null)).toThrow(/rows/);
  });
});

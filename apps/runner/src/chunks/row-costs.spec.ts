import { RowCosts } from './row-costs';

describe('the cost of rows', () => {
  it('is the mean of the rows of a model', () => {
    const costs = new RowCosts();
    for (const ns of [1e9, 2e9, 3e9]) costs.observe('a', ns);
    costs.observe('b', 10e9);
    expect([costs.secondsPerRow('a'), costs.secondsPerRow('b')]).toEqual([2, 10]);
  });

  it('is that of all rows where the model is not known, or none of it ran; 0 before any ran', () => {
    const costs = new RowCosts();
    expect([costs.secondsPerRow('a'), costs.secondsPerRow(null)]).toEqual([0, 0]);
    costs.observe('a', 1e9);
    costs.observe('b', 3e9);
    expect([costs.secondsPerRow('new'), costs.secondsPerRow(null)]).toEqual([2, 2]);
  });

  it('follows rows that have become longer', () => {
    const costs = new RowCosts();
    for (let row = 0; row < 100_000; row++) costs.observe('a', 1e6);
    for (let row = 0; row < 40_000; row++) costs.observe('a', 9e6);
    expect(costs.secondsPerRow('a')).toBeCloseTo(0.009, 4);
  });
});

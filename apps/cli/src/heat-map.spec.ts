import { heatMap } from './heat-map';

// ms per row: 10, 6, 5.1, 5 for 8 tokens, so three rows are the first within 5 % of the best; 100, 100, not measured.
const GRID = {
  lengths: [8, 512],
  rows: [1, 2, 3, 4],
  runNs: [
    [10e6, 12e6, 15.3e6, 20e6],
    [100e6, 200e6, 0, 0],
  ],
};

describe('heat map of a cost table', () => {
  it('is plain digits with the knee marked', () => {
    expect(heatMap(GRID, false).split('\n')).toEqual([
      'tokens \\ rows      1      2      3      4',
      '            8   10.0   6.00  5.10*   5.00',
      '          512   100*    100',
      'ms per row; * smallest batch within 5 % of the best for this length',
    ]);
  });

  it('has the same digits in colours', () => {
    const coloured = heatMap(GRID, true);
    expect(coloured).toContain('\u001b[48;5;');
    expect(coloured.replace(/\u001b\[[0-9;]*m/g, '')).toBe(heatMap(GRID, false));
  });

  it('colours the best of a length and the worst differently', () => {
    const line = heatMap(GRID, true).split('\n')[1] ?? '';
    const colours = [...line.matchAll(/48;5;(\d+)/g)].map((match) => match[1]);
    expect(colours).toHaveLength(4);
    expect(colours[0]).not.toBe(colours[3]);
    expect(colours[2]).toBe(colours[3]);
  });
});

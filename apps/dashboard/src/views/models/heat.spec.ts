import { heatOf } from './heat';

describe('colours of a cost table', () => {
  it('go by the time of a row, within each length', () => {
    const [short = [], long = []] = heatOf({
      lengths: [8, 16],
      rows: [1, 2, 4],
      runNs: [
        [400, 400, 400],
        [100, 200, 0],
      ],
    });
    expect(short.map((heat) => heat?.toFixed(2))).toEqual(['1.00', '0.50', '0.00']);
    expect(long).toEqual([0, 0, null]);
  });
});

import { chaos } from '../../bench/batch/chaos/chaos';

const MINUTES_5 = 5 * 60_000;

describe('a batch whose node is killed piece by piece', () => {
  it(
    'has the output of an undisturbed run, byte for byte',
    async () => {
      const { areIdentical, wrongRows, kills } = await chaos({ rows: 6_000, kills: 6, seed: 16, gapMsMax: 1_500 });
      expect({ areIdentical, wrongRows }).toEqual({ areIdentical: true, wrongRows: 0 });
      expect(kills['redis-emptied']).toBe(1);
    },
    MINUTES_5,
  );
});

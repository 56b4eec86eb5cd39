import type { ItemResult } from '@app/contracts';
import { liveTiming } from './live-timing';

const moments = { arrivedMs: 0, bodyReadMs: 1, admittedMs: 2, preparedMs: 4, answeredMs: 12, respondedMs: 13 };
const result = (queueUs: number, runUs: number, runRows: number): ItemResult => ({
  outputs: [],
  timing: { queueUs, runUs, runRows, startedNs: 1 },
});

describe('where the time of an answer went', () => {
  it('is told by stage; what is left of the wait is the channel', () => {
    expect(liveTiming(moments, [result(1_000, 2_000, 8), result(2_000, 5_000, 3)], null)).toMatchObject({
      items: 2,
      runRows: 8,
      stages: [
        ['accept', 1],
        ['admit', 1],
        ['tokenize', 2],
        ['enqueue', 1],
        ['coalesce', 2],
        ['run', 5],
        ['respond', 1],
      ],
    });
  });

  it.each([
    ['no item, as of tokenize', []],
    ['kept answers alone', [result(0, 0, 0)]],
  ])('has no stage of a run where nothing ran: %s', (_name, results) => {
    expect(liveTiming(moments, results, null).stages).toEqual([
      ['accept', 1],
      ['admit', 1],
      ['tokenize', 2],
      ['respond', 9],
    ]);
  });
});

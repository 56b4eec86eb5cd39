import { ITEM_STATUSES, type Completion } from '@app/native';
import type { ChannelAnswer } from '../channel/channel-client';
import { answerExecutorNs } from './executor-time';

const answer = (status: (typeof ITEM_STATUSES)[number], runUs: number, runRows: number): ChannelAnswer => ({
  kind: 'completed',
  completion: { status: ITEM_STATUSES.indexOf(status), timing: { runUs, runRows } } as Completion,
});

describe('the executor time of an item', () => {
  it('is its part of the run by rows, so that the parts of a run add up to it', () => {
    expect([1, 2, 5].map((rows) => answerExecutorNs(answer('ok', 800, 8), rows, 1))).toEqual([100_000, 200_000, 500_000]);
  });

  it('is no more than the run, also for an item whose equal ran', () => {
    expect(answerExecutorNs(answer('ok', 800, 1), 4, 1)).toBe(800_000);
  });

  it('is that of all executors that the run took', () => {
    expect(answerExecutorNs(answer('ok', 800, 8), 4, 2)).toBe(800_000);
  });

  it('is nothing where it did not run, and unknown where it ran without an answer', () => {
    for (const status of ['deadline-exceeded', 'cancelled', 'queue-full', 'unavailable', 'invalid'] as const)
      expect(answerExecutorNs(answer(status, 0, 0), 1, 1)).toBe(0);
    for (const status of ['failed', 'run-timeout', 'response-too-large'] as const)
      expect(answerExecutorNs(answer(status, 0, 0), 1, 1)).toBeNull();
    expect(answerExecutorNs({ kind: 'lost', suspicion: 'none' }, 1, 1)).toBe(0);
    expect(answerExecutorNs({ kind: 'lost', suspicion: 'possible' }, 1, 1)).toBeNull();
  });
});

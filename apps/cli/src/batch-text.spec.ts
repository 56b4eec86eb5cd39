import { describe as describeBatch, duration, isOver, leftText, listText, logText, rateText, type ShownBatch } from './batch-text';

const BATCH = {
  id: 'batch_1',
  status: 'in_progress',
  endpoint: '/v1/embeddings',
  request_counts: { total: 1000, completed: 510, failed: 2 },
  created_at: 0,
  errors: null,
  interleave: {
    paused: 'Redis is not reachable',
    progress: { rows_per_second: 42.4, seconds_left: { expected: 250, low: 235, high: 270 }, failures: { inference_failed: 2 } },
  },
} as unknown as ShownBatch;

describe('text of batches', () => {
  it('tells how one gets on', () => {
    expect(describeBatch(BATCH)).toBe(
      [
        'batch_1: in_progress, 510 of 1000 rows completed, 2 failed',
        'endpoint: /v1/embeddings',
        'paused: Redis is not reachable',
        '42 rows/s, 4:10 (3:55 to 4:30) left',
        'failed rows: 2 inference_failed',
      ].join('\n'),
    );
  });

  it('lists several', () => {
    const { interleave: _none, ...plain } = { ...BATCH, id: 'batch_2', status: 'completed' as const };
    expect(listText([BATCH, plain]).split('\n').slice(1)).toEqual([
      'batch_1  paused     512/1000  2       4:10 (3:55 to 4:30)  -         /v1/embeddings  1970-01-01T00:00:00.000Z',
      'batch_2  completed  512/1000  2       -                    -         /v1/embeddings  1970-01-01T00:00:00.000Z',
    ]);
    expect(listText([])).toBe('no batches');
  });

  it('does not take rows that were not run for done', () => {
    const expired = {
      ...BATCH,
      status: 'expired' as const,
      request_counts: { total: 40, completed: 5, failed: 35 },
      interleave: { not_run: 34 },
    };
    expect(describeBatch(expired)).toContain('batch_1: expired, 5 of 40 rows completed, 1 failed, 34 not run');
    expect(listText([expired]).split('\n')[1]).toMatch(/^batch_1  expired  6\/40  1 /);
  });

  it('shows what happened, and how often', () => {
    const text = logText([
      { at: 0, event: 'owner', message: 'node a has it' },
      { at: 60, event: 'retry', message: 'chunk 3 is tried again: no worker', count: 4 },
    ]);
    expect(text).toBe(
      '1970-01-01T00:00:00.000Z  owner    node a has it\n' +
        '1970-01-01T00:01:00.000Z  retry    chunk 3 is tried again: no worker (4 times, the last one then)',
    );
  });

  it('has a dash for what is not known', () => {
    const unknown = { rows_per_second: null, seconds_left: null, failures: {} };
    expect([rateText(unknown), leftText(unknown), rateText({ ...unknown, rows_per_second: 2.345 })]).toEqual([
      '- rows/s',
      '-',
      '2.3 rows/s',
    ]);
  });

  it.each([
    [0.2, '0:01'],
    [61, '1:01'],
    [3725, '1:02:05'],
  ])('writes %d seconds as %s', (seconds, text) => expect(duration(seconds)).toBe(text));

  it('is over in the four final states only', () => {
    const states = ['validating', 'failed', 'in_progress', 'finalizing', 'completed', 'expired', 'cancelling', 'cancelled'] as const;
    expect(states.filter((status) => isOver({ status }))).toEqual(['failed', 'completed', 'expired', 'cancelled']);
  });
});

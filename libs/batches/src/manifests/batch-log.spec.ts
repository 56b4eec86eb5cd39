import { withLogEntry } from './batch-log';

describe('withLogEntry', () => {
  it('counts what happens again and again, and cuts long messages', () => {
    let log = withLogEntry([], 'owner', 'node a has it', 1);
    for (const at of [2, 3, 4]) log = withLogEntry(log, 'retry', 'x'.repeat(1000), at);
    log = withLogEntry(log, 'resumed', 'goes on', 5);
    expect(log).toEqual([
      { at: 1, event: 'owner', message: 'node a has it' },
      { at: 4, event: 'retry', message: 'x'.repeat(200), count: 3 },
      { at: 5, event: 'resumed', message: 'goes on' },
    ]);
  });

  it('forgets the oldest of more than 100', () => {
    let log = withLogEntry([], 'owner', 'node a has it', 0);
    for (let at = 1; at <= 150; at++) log = withLogEntry(log, 'paused', `reason ${at}`, at);
    expect([log.length, log[0]?.at, log.at(-1)?.at]).toEqual([100, 51, 150]);
  });
});

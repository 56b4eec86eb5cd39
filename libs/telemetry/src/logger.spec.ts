import { createLogger } from './logger';

describe('the logger', () => {
  const lines: Record<string, unknown>[] = [];
  const log = () => createLogger('p', 'info', { write: (line: string) => void lines.push(JSON.parse(line) as Record<string, unknown>) });
  beforeEach(() => jest.useFakeTimers());
  afterEach(() => {
    jest.useRealTimers();
    lines.length = 0;
  });

  it('holds back a warning that repeats, and says at the end of the minute how often', () => {
    const own = log();
    for (let i = 0; i < 130; i++) own.warn({ batch_id: 'b', i }, 'away');
    own.warn({ batch_id: 'other' }, 'away');
    own.error('away');
    expect(lines).toHaveLength(12);
    jest.advanceTimersByTime(60_000);
    expect(lines.slice(12)).toEqual([
      expect.objectContaining({ level: 40, batch_id: 'b', repeated: 120, msg: 'away (repeated 120 times)' }),
    ]);
    own.warn({ batch_id: 'b' }, 'away');
    expect(lines).toHaveLength(14);
  });

  it('holds nothing back of what is no warning', () => {
    const own = log();
    for (let i = 0; i < 50; i++) own.info('done');
    expect(lines).toHaveLength(50);
  });
});

import { Logger } from '@nestjs/common';
import pino from 'pino';
import { NestLogger } from './nest-logger';

describe('NestLogger', () => {
  const lines: Record<string, unknown>[] = [];
  const stream = { write: (line: string) => void lines.push(JSON.parse(line) as Record<string, unknown>) };
  const nest = new Logger('Router');

  beforeAll(() => Logger.overrideLogger(new NestLogger(pino({ level: 'trace' }, stream))));
  afterAll(() => Logger.overrideLogger(false));
  beforeEach(() => (lines.length = 0));

  it.each([
    ['fatal', 60],
    ['error', 50],
    ['warn', 40],
    ['log', 20],
    ['debug', 20],
    ['verbose', 10],
  ] as const)('writes what Nest says with %s at level %i, with the name of the speaker', (method, level) => {
    nest[method]('what happened');
    expect(lines).toEqual([expect.objectContaining({ level, context: 'Router', msg: 'what happened' })]);
  });

  it('keeps the stack of an error, however it is given', () => {
    const error = new Error('broken');
    nest.error('it is broken', error.stack);
    nest.error(error);
    expect(lines[0]).toMatchObject({ msg: 'it is broken', details: [error.stack] });
    expect(lines[1]).toMatchObject({ msg: 'broken', err: { stack: error.stack } });
  });
});

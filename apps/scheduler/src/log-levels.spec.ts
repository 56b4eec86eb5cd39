import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { childEnvironment, runPaths } from '@app/config';
import { logLevelCommand, serveProcessStatus, type ProcessStatusServer } from '@app/process';
import { createLogger, type Logger } from '@app/telemetry';
import { Registry } from 'prom-client';
import { nodeLogLevels } from './log-levels';

const quiet = (id: string): Logger => createLogger(id, 'error', { write: () => undefined });

describe('the log level of a node', () => {
  const runDir = mkdtempSync(join(tmpdir(), 'il-levels-'));
  const before = process.env['LOG_LEVEL'];
  const scheduler = quiet('scheduler');
  const runner = quiet('runner');
  const levels = nodeLogLevels({ runDir }, scheduler, () => [
    { id: 'redis', kind: 'redis' },
    { id: 'runner', kind: 'runner' },
    { id: 'api-1', kind: 'api' },
  ]);
  let server: ProcessStatusServer;

  beforeAll(async () => {
    const socketPath = runPaths(runDir).statusSocket('runner');
    server = await serveProcessStatus({ socketPath, registry: new Registry(), status: () => ({}), commands: logLevelCommand(runner) });
  });
  afterAll(async () => {
    await server.close();
    rmSync(runDir, { recursive: true });
    if (before === undefined) delete process.env['LOG_LEVEL'];
    else process.env['LOG_LEVEL'] = before;
  });

  it('is told for each process, and null for one that does not answer', async () => {
    expect(await levels({})).toEqual({ level: 'error', processes: { scheduler: 'error', runner: 'error', 'api-1': null } });
  });

  it('changes for all, and for those that start later', async () => {
    expect(await levels({ level: 'debug' })).toEqual({ level: 'debug', processes: { scheduler: 'debug', runner: 'debug', 'api-1': null } });
    expect([scheduler.level, runner.level]).toEqual(['debug', 'debug']);
    expect(childEnvironment({ settings: true, secrets: false }, {})['LOG_LEVEL']).toBe('debug');
  });

  it('stays as it is when the level is none', async () => {
    await expect(async () => levels({ level: 'loud' })).rejects.toThrow('expected a level of fatal');
    expect(scheduler.level).toBe('debug');
  });
});

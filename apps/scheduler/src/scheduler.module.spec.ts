import { spawn } from 'node:child_process';
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { createServer, type AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { loadConfig, runPaths, type Config } from '@app/config';
import type { Placement, PreemptionProof, QuarantinedModel } from '@app/contracts';
import { createLogger } from '@app/telemetry';
import type { INestApplicationContext } from '@nestjs/common';
import { NestFactory } from '@nestjs/core';
import { buildModels } from '../../../tools/model-builder/src/models';
import { SchedulerModule } from './scheduler.module';
import { PidFiles } from './supervision/pid-files';
import { identityOf } from './supervision/proc-fs';
import { Supervisor } from './supervision/supervisor';

const PREEMPTION: PreemptionProof = {
  verdict: 'holds',
  cause: null,
  reason: 'measured before',
  cpu: 0,
  attempts: 1,
  p50Ms: 0.1,
  p99Ms: 0.2,
  aloneP99Ms: null,
};
const QUARANTINED: QuarantinedModel = {
  name: 'encoder-tiny',
  version: '1',
  lane: 'batch',
  reason: 'killed workers',
  untilMs: Date.now() + 3_600_000,
  periodMs: 3_600_000,
  isUnloaded: false,
};
const fail = (): never => {
  throw new Error('expected a process that runs');
};

describe('composing a scheduler', () => {
  const dir = mkdtempSync(join(tmpdir(), 'il-scheduler-'));
  const modelsDir = join(dir, 'models');
  const runner = spawn('sleep', ['600']);
  beforeAll(() => buildModels(modelsDir, ['encoder-tiny']));
  afterAll(() => {
    runner.kill();
    rmSync(dir, { recursive: true });
  });

  const configOf = (name: string, settings: Record<string, string> = {}): Config =>
    loadConfig({ DATA_DIR: join(dir, name), MODELS_DIR: modelsDir, LOG_LEVEL: 'fatal', PORT: '0', GRPC_PORT: '0', ...settings });
  const compose = (config: Config): Promise<INestApplicationContext> =>
    NestFactory.createApplicationContext(SchedulerModule.of(config, createLogger('scheduler', 'fatal')), {
      logger: false,
      abortOnError: false,
    });

  /** As an earlier scheduler leaves it whose runner goes on: what it measured, and what it quarantined. */
  function leaveRunning({ runDir }: Config, pid: number): void {
    mkdirSync(runDir, { recursive: true });
    new PidFiles(runDir).write('runner', identityOf(pid) ?? fail(), 'as it was started');
    writeFileSync(join(runDir, 'preemption.json'), JSON.stringify(PREEMPTION));
    const placement = { formatVersion: 1, partitions: [], workers: [], quarantined: [QUARANTINED] };
    writeFileSync(runPaths(runDir).placement, JSON.stringify(placement));
  }

  it('publishes the plan with what an earlier scheduler quarantined, and starts nothing', async () => {
    const config = configOf('one', { PROCESSES: 'worker,runner' });
    leaveRunning(config, runner.pid ?? fail());
    const app = await compose(config);
    const { workers, quarantined } = JSON.parse(readFileSync(runPaths(config.runDir).placement, 'utf8')) as Placement;
    expect({ lanes: workers.map(({ lane }) => lane).sort(), quarantined }).toEqual({
      lanes: ['batch', 'realtime'],
      quarantined: [QUARANTINED],
    });
    expect(app.get(Supervisor).processes.map(({ spec, state }) => [spec.id, state])).toEqual([
      ...workers.map(({ id }) => [id, 'stopped']),
      ['runner', 'stopped'],
    ]);
    expect(new PidFiles(config.runDir).ids()).toEqual(['runner']);

    await expect(compose(config)).rejects.toThrow('is in use by another scheduler');
    await app.close();
    expect(readFileSync(runPaths(config.runDir).placement, 'utf8')).toMatch(/"quarantined": \[\]/);
  });

  it.each(['PORT', 'GRPC_PORT'])('refuses a %s in use before it plans', async (setting) => {
    const server = createServer();
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    const { port } = server.address() as AddressInfo;
    const config = configOf(`in-use-${setting}`, { [setting]: String(port) });
    await expect(compose(config)).rejects.toThrow(`${setting} ${port} is in use by pid ${process.pid}`);
    expect(readdirSync(config.runDir)).toEqual([]);
    await new Promise((resolve) => server.close(resolve));
  });
});

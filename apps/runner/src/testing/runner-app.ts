import type { INestApplicationContext } from '@nestjs/common';
import { NestFactory } from '@nestjs/core';
import { DiskGuard, readInstanceId } from '@app/batches';
import { redisAddress } from '@app/queues';
import { createLogger } from '@app/telemetry';
import { Registry } from 'prom-client';
import { runnerOptions } from '../open-runner';
import { RunnerModule } from '../runner.module';
import type { EchoEngine } from './echo-engine';
import type { Workspace } from './workspace';

/** The parts of a runner, none of them started. */
export async function openRunnerApp({ config, directory, files }: Workspace, engine: EchoEngine): Promise<INestApplicationContext> {
  await files.ensureDirectories();
  const log = createLogger('runner', config.logLevel);
  const disk = new DiskGuard(directory, 0);
  const options = runnerOptions(config, { engine, disk, crashes: 0, log, registry: new Registry(), reconcileMs: 50 }, files);
  const bull = { address: redisAddress(config), instanceId: await readInstanceId(directory), onError: () => undefined };
  return NestFactory.createApplicationContext(RunnerModule.of(options, bull), { logger: false, abortOnError: false });
}

import type { INestApplicationContext } from '@nestjs/common';
import { NestFactory } from '@nestjs/core';
import { readInstanceId } from '@app/batches';
import { redisAddress } from '@app/queues';
import { createLogger } from '@app/telemetry';
import { Registry } from 'prom-client';
import { runnerOptions } from '../open-runner';
import { RunnerModule } from '../runner.module';
import type { EchoEngine } from './echo-engine';
import type { Workspace } from './workspace';

/** The parts of a runner, none of them started. */
export async function openRunnerApp({ config, store }: Workspace, engine: EchoEngine): Promise<INestApplicationContext> {
  const log = createLogger('runner', config.logLevel);
  const options = runnerOptions(config, {
    nodeId: 'node',
    engine,
    store,
    crashes: 0,
    log,
    registry: new Registry(),
    reconcileMs: 50,
    refusal: async () => null,
  });
  const bull = { address: redisAddress(config), instanceId: await readInstanceId(store), onError: () => undefined };
  return NestFactory.createApplicationContext(RunnerModule.of(options, bull), { logger: false, abortOnError: false });
}

import 'reflect-metadata';
import { checkAccess } from '@app/access';
import type { Config } from '@app/config';
import { onShutdown, type ShutdownStep } from '@app/process';
import { readTlsPair } from '@app/system';
import { createLogger, type Logger } from '@app/telemetry';
import type { INestApplicationContext } from '@nestjs/common';
import { NestFactory } from '@nestjs/core';
import { checkEnvoy } from './envoy';
import { NodeScheduler } from './node-scheduler';
import { SchedulerModule } from './scheduler.module';

/**
 * Runs a node until SIGTERM, SIGINT or SIGHUP; a second signal kills everything but Redis. Ends this process with exit code
 * 0 after a clean drain, 1 when the node could not be started. When this process is killed its children go on, and the next
 * scheduler takes them over. Resolves when everything was started, and not yet ready.
 */
export async function runNode(config: Config): Promise<void> {
  const log = createLogger('scheduler', config.logLevel);
  const steps: ShutdownStep[] = [];
  let hurry = (): void => undefined;
  onShutdown({ log, isSupervised: false, steps, onFurtherSignal: () => hurry() });
  const starting = start(config, log, (scheduler) => (hurry = () => scheduler.hurry()));
  // A signal that comes meanwhile drains what was started, and what an earlier scheduler left running.
  steps.push(['node', async () => (await starting).close()]);
  try {
    await starting;
  } catch (error) {
    process.stderr.write(`interleave: ${(error as Error).message}\n`);
    process.exit(1);
  }
}

async function start(config: Config, log: Logger, onComposed: (scheduler: NodeScheduler) => void): Promise<INestApplicationContext> {
  // The API processes would say it again and again.
  if (config.tls !== null && config.processes.includes('api')) await readTlsPair(config.tls);
  if (config.processes.includes('api')) checkAccess(config);
  checkEnvoy(config);
  const app = await NestFactory.createApplicationContext(SchedulerModule.of(config, log), { logger: false, abortOnError: false });
  const scheduler = app.get(NodeScheduler);
  onComposed(scheduler);
  await scheduler.start();
  return app;
}

import 'reflect-metadata';
import { NestFactory } from '@nestjs/core';
import { LOGGER, NodeScheduler } from './node-scheduler';
import { SchedulerModule } from './scheduler.module';
import type { Logger } from '@app/telemetry';

const DRAIN_MS_MAX = 30_000;

/**
 * Runs a node until SIGTERM, SIGINT or SIGHUP; a second signal hurries. Exit code 0 after a clean drain, 1 when the node
 * could not be started. When this process is killed its children go on, and the next scheduler takes them over.
 */
async function main(): Promise<void> {
  const app = await NestFactory.createApplicationContext(SchedulerModule, { logger: false, abortOnError: false });
  const scheduler = app.get(NodeScheduler);
  const log = app.get<Logger>(LOGGER);
  let signals = 0;
  const onSignal = (signal: NodeJS.Signals): void => {
    signals++;
    log.info({ signal }, signals === 1 ? `${signal}: draining; a second signal hurries` : `${signal}: hurrying`);
    if (signals > 1) return scheduler.hurry();
    void scheduler
      .stop(DRAIN_MS_MAX)
      .then(() => app.close())
      .then(() => process.exit(0), fail);
  };
  for (const signal of ['SIGTERM', 'SIGINT', 'SIGHUP'] as const) process.on(signal, onSignal);
  await scheduler.start();
}

function fail(error: Error): void {
  process.stderr.write(`interleave: ${error.message}\n`);
  process.exit(1);
}

void main().catch(fail);

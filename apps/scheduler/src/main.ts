import 'reflect-metadata';
import { NestFactory } from '@nestjs/core';
import { LOGGER, NodeScheduler } from './node-scheduler';
import { SchedulerModule } from './scheduler.module';
import { onShutdown } from '@app/process';
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
  onShutdown({
    log,
    isSupervised: false,
    steps: [
      ['node', () => scheduler.stop(DRAIN_MS_MAX)],
      ['scheduler', () => app.close()],
    ],
    onFurtherSignal: () => scheduler.hurry(),
  });
  await scheduler.start();
}

function fail(error: Error): void {
  process.stderr.write(`interleave: ${error.message}\n`);
  process.exit(1);
}

void main().catch(fail);

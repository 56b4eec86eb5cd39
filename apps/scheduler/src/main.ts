import 'reflect-metadata';
import type { Config } from '@app/config';
import { onShutdown, type ShutdownStep } from '@app/process';
import { createLogger } from '@app/telemetry';
import { NestFactory } from '@nestjs/core';
import { NodeScheduler } from './node-scheduler';
import { SchedulerModule } from './scheduler.module';

/**
 * Runs a node until SIGTERM, SIGINT or SIGHUP; a second signal hurries. Ends this process with exit code 0 after a clean
 * drain, 1 when the node could not be started. When this process is killed its children go on, and the next scheduler takes
 * them over. Resolves when everything was started, and not yet ready.
 */
export async function runNode(config: Config): Promise<void> {
  const log = createLogger('scheduler', config.logLevel);
  const steps: ShutdownStep[] = [];
  let hurry = (): void => undefined;
  onShutdown({ log, isSupervised: false, steps, onFurtherSignal: () => hurry() });
  try {
    const app = await NestFactory.createApplicationContext(SchedulerModule.of(config, log), { logger: false, abortOnError: false });
    const scheduler = app.get(NodeScheduler);
    hurry = () => scheduler.hurry();
    steps.push(['node', () => app.close()]);
    await scheduler.start();
  } catch (error) {
    process.stderr.write(`interleave: ${(error as Error).message}\n`);
    process.exit(1);
  }
}

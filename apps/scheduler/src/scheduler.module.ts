import { Module } from '@nestjs/common';
import { loadConfig, type Config } from '@app/config';
import { createLogger } from '@app/telemetry';
import { CONFIG, LOGGER, NodeScheduler } from './node-scheduler';

/** The composition root of the scheduler process. */
@Module({
  providers: [
    { provide: CONFIG, useFactory: () => loadConfig() },
    { provide: LOGGER, useFactory: ({ logLevel }: Config) => createLogger('scheduler', logLevel), inject: [CONFIG] },
    NodeScheduler,
  ],
})
export class SchedulerModule {}

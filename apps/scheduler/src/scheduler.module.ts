import type { Config } from '@app/config';
import type { Logger } from '@app/telemetry';
import { Module, type DynamicModule } from '@nestjs/common';
import { LaneControlModule } from './lane-control/lane-control.module';
import { NodeScheduler } from './node-scheduler';
import { PlacementModule } from './placement/placement.module';
import { ProcessModule } from './process.module';
import { RepositoryModule } from './repository/repository.module';
import { SchedulerStatus } from './scheduler-status';
import { SupervisionModule } from './supervision/supervision.module';

/** The composition root of the scheduler process. Composing plans the node; `NodeScheduler.start` starts it. */
@Module({})
export class SchedulerModule {
  static of(config: Config, log: Logger): DynamicModule {
    return {
      module: SchedulerModule,
      imports: [ProcessModule.of(config, log), PlacementModule, SupervisionModule, RepositoryModule, LaneControlModule],
      providers: [SchedulerStatus, NodeScheduler],
    };
  }
}

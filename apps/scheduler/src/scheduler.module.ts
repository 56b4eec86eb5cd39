import type { Config } from '@app/config';
import type { Logger } from '@app/telemetry';
import { Module, type DynamicModule } from '@nestjs/common';
import { LaneControlModule } from './lane-control/lane-control.module';
import { NodeScheduler } from './node-scheduler';
import { EventLog } from './observation/events/event-log';
import { NodeHistoryStore } from './observation/history/node-history';
import { NodeObserver } from './observation/node-observer';
import { ObservationModule, openObserver } from './observation/observation.module';
import { ObservationStream } from './observation/stream/observation-stream';
import { PlacementModule } from './placement/placement.module';
import { ProcessModule } from './process.module';
import { RepositoryModule } from './repository/repository.module';
import { SchedulerMetrics } from './scheduler-metrics';
import { SchedulerStatus } from './scheduler-status';
import { SupervisionModule } from './supervision/supervision.module';
import { CONFIG, FACTS, LOGGER, PREEMPTION } from './tokens';

/** The composition root of the scheduler process. Composing plans the node; `NodeScheduler.start` starts it. */
@Module({})
export class SchedulerModule {
  static of(config: Config, log: Logger): DynamicModule {
    return {
      module: SchedulerModule,
      imports: [ProcessModule.of(config, log), PlacementModule, SupervisionModule, RepositoryModule, LaneControlModule, ObservationModule],
      providers: [
        SchedulerStatus,
        {
          provide: NodeObserver,
          useFactory: openObserver,
          inject: [CONFIG, LOGGER, FACTS, PREEMPTION, SchedulerStatus, SchedulerMetrics, EventLog, NodeHistoryStore, ObservationStream],
        },
        NodeScheduler,
      ],
    };
  }
}

import type { Config } from '@app/config';
import type { PreemptionProof } from '@app/contracts';
import type { Logger } from '@app/telemetry';
import { Module } from '@nestjs/common';
import { PlacementModule } from '../placement/placement.module';
import { PublishedPlacement } from '../placement/published-placement';
import { registerNode } from '../node-metrics';
import { processSpecs } from '../processes';
import { SchedulerMetrics } from '../scheduler-metrics';
import { CONFIG, LISTENING_SOCKETS, LOGGER, PREEMPTION } from '../tokens';
import type { ListeningSockets } from './listening-socket';
import { PidFiles } from './pid-files';
import { DEFAULT_TIMINGS } from './process-spec';
import { QuarantineKeeper } from './quarantine-keeper';
import { Supervisor } from './supervisor';
import { SupervisorEvents } from './supervisor-events';

/** The processes of this node, what is counted of them, and which models they may not run. */
@Module({
  imports: [PlacementModule],
  providers: [
    SupervisorEvents,
    {
      provide: Supervisor,
      useFactory: openSupervisor,
      inject: [CONFIG, LOGGER, PublishedPlacement, LISTENING_SOCKETS, PidFiles, SupervisorEvents],
    },
    {
      provide: SchedulerMetrics,
      useFactory: openMetrics,
      inject: [CONFIG, Supervisor, PublishedPlacement, PREEMPTION, SupervisorEvents],
    },
    QuarantineKeeper,
  ],
  exports: [SupervisorEvents, Supervisor, SchedulerMetrics, QuarantineKeeper],
})
export class SupervisionModule {}

function openMetrics(
  config: Config,
  { processes }: Supervisor,
  { current }: PublishedPlacement,
  preemption: PreemptionProof,
  events: SupervisorEvents,
): SchedulerMetrics {
  const metrics = new SchedulerMetrics(processes, current, preemption, events);
  registerNode(metrics.registry, config, current);
  return metrics;
}

function openSupervisor(
  config: Config,
  log: Logger,
  { current }: PublishedPlacement,
  sockets: ListeningSockets | null,
  pidFiles: PidFiles,
  events: SupervisorEvents,
): Supervisor {
  return new Supervisor(processSpecs(config, current, sockets), pidFiles, {
    log,
    timings: DEFAULT_TIMINGS,
    onRestart: (spec) => events.emit('restart', spec),
    onCrash: (spec) => events.emit('crash', spec),
    onCulprit: (spec, culprit, reason) => events.emit('culprit', spec, culprit, reason),
  });
}

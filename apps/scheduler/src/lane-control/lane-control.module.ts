import type { Config } from '@app/config';
import type { Logger } from '@app/telemetry';
import { Module } from '@nestjs/common';
import { PlacementModule } from '../placement/placement.module';
import { PublishedPlacement } from '../placement/published-placement';
import { SchedulerMetrics } from '../scheduler-metrics';
import { SupervisionModule } from '../supervision/supervision.module';
import { CONFIG, LANE_CONTROL, LOGGER } from '../tokens';
import { LaneControl } from './lane-control';
import { registerLaneControl } from './lane-control-metrics';

/** How far the batch lane is limited for the sake of live answers. */
@Module({
  imports: [PlacementModule, SupervisionModule],
  providers: [{ provide: LANE_CONTROL, useFactory: openLaneControl, inject: [CONFIG, LOGGER, PublishedPlacement, SchedulerMetrics] }],
  exports: [LANE_CONTROL],
})
export class LaneControlModule {}

function openLaneControl(
  { runDir, processes, batch }: Config,
  log: Logger,
  { current: placement }: PublishedPlacement,
  { registry }: SchedulerMetrics,
): LaneControl | null {
  if (!processes.includes('worker')) return null;
  const control = new LaneControl({ placement, runDir, floorShare: batch.floorShare, holdOffShare: batch.holdOffShare, log });
  registerLaneControl(registry, () => control.status());
  return control;
}

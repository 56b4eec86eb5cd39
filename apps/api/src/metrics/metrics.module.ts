import type { Config } from '@app/config';
import { Module } from '@nestjs/common';
import { Registry } from 'prom-client';
import { Admission } from '../admission/admission';
import { AdmissionModule } from '../admission/admission.module';
import { PlacementFile } from '../placement-file';
import { CONFIG } from '../tokens';
import { LiveMetrics } from './live-metrics';
import { MergedMetrics } from './merge';
import { MetricsController } from './metrics.controller';

/** `/metrics`: those of all processes, and what is counted of live requests here. */
@Module({
  imports: [AdmissionModule],
  controllers: [MetricsController],
  providers: [
    {
      provide: LiveMetrics,
      useFactory: (registry: Registry, admission: Admission) => new LiveMetrics(registry, admission),
      inject: [Registry, Admission],
    },
    {
      provide: MergedMetrics,
      useFactory: (registry: Registry, { runDir }: Config, placement: PlacementFile) =>
        new MergedMetrics(registry, runDir, () => otherProcesses(placement)),
      inject: [Registry, CONFIG, PlacementFile],
    },
  ],
  exports: [LiveMetrics, MergedMetrics],
})
export class MetricsModule {}

function otherProcesses(placement: PlacementFile): string[] {
  return [...placement.workers().map(({ id }) => id), 'runner', 'scheduler'];
}

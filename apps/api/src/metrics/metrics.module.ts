import type { Config } from '@app/config';
import type { InferenceBackend } from '@app/contracts';
import { PlacementReader } from '@app/process';
import { Module } from '@nestjs/common';
import { Registry } from 'prom-client';
import { BACKEND, BATCH_BACKEND, CONFIG } from '../tokens';
import { GrpcMetrics } from './grpc-metrics';
import { addGatewayGauges } from './gateway-gauges';
import { LiveMetrics } from './live-metrics';
import { MergedMetrics } from './merge';
import { MetricsController } from './metrics.controller';

/** `/metrics`: those of all processes, and what is counted of live requests here. */
@Module({
  controllers: [MetricsController],
  providers: [
    {
      provide: LiveMetrics,
      useFactory: (registry: Registry, ...backends: InferenceBackend[]) => new LiveMetrics(registry, backends),
      inject: [Registry, BACKEND, BATCH_BACKEND],
    },
    { provide: GrpcMetrics, useFactory: (registry: Registry) => new GrpcMetrics(registry), inject: [Registry] },
    {
      provide: MergedMetrics,
      useFactory: (registry: Registry, { runDir }: Config, placement: PlacementReader, live: InferenceBackend) =>
        new MergedMetrics(
          registry,
          runDir,
          () => otherProcesses(placement),
          (merged) => addGatewayGauges(merged, live),
        ),
      inject: [Registry, CONFIG, PlacementReader, BACKEND],
    },
  ],
  exports: [GrpcMetrics, LiveMetrics, MergedMetrics],
})
export class MetricsModule {}

function otherProcesses(placement: PlacementReader): string[] {
  return [...placement.workers().map(({ id }) => id), 'runner', 'scheduler'];
}

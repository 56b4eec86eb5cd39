import { PlacementReader } from '@app/process';
import { Module, type DynamicModule } from '@nestjs/common';
import { Registry } from 'prom-client';
import { LaneMerging } from './live/lane-merging';
import { LiveGate } from './live/live-gate';
import { LiveService } from './live/live.service';
import { InferController } from './live/open-inference/infer.controller';
import { MetadataController } from './live/open-inference/metadata.controller';
import { TritonController } from './live/open-inference/triton.controller';
import { EmbeddingsController } from './live/openai/embeddings.controller';
import { ModelsController } from './live/openai/models.controller';
import { PredictController } from './live/predict/predict.controller';
import { Preparer } from './live/preparer';
import { Preparation } from './admission/preparation';
import { BatchesModule } from './batches';
import { DashboardCollector } from './dashboard/collector';
import { DashboardController } from './dashboard/dashboard.controller';
import { HealthController } from './health/health.controller';
import { Readiness } from './health/readiness';
import { Lifecycle } from './lifecycle';
import { LiveMetrics } from './metrics/live-metrics';
import { MergedMetrics } from './metrics/merge';
import { MetricsController } from './metrics/metrics.controller';
import { BACKEND, CATALOG, CONFIG, LOGGER, type Parts } from './parts';

/** The composition root of the API. */
@Module({})
export class AppModule {
  static of(parts: Parts): DynamicModule {
    const { config, placement, registry } = parts;
    const metrics = new MergedMetrics(registry, config.runDir, () => otherProcesses(placement));
    return {
      module: AppModule,
      imports: [BatchesModule.of(parts.batches, config)],
      controllers: [
        HealthController,
        MetadataController,
        InferController,
        TritonController,
        PredictController,
        EmbeddingsController,
        ModelsController,
        MetricsController,
        DashboardController,
      ],
      providers: [
        { provide: CONFIG, useValue: config },
        { provide: LOGGER, useValue: parts.logger },
        { provide: PlacementReader, useValue: placement },
        { provide: BACKEND, useValue: parts.backend },
        { provide: CATALOG, useValue: parts.catalog },
        { provide: Registry, useValue: registry },
        { provide: Preparation, useValue: new Preparation(config.http.preparingRequestsMax) },
        { provide: LiveMetrics, useValue: new LiveMetrics(registry, parts.backend) },
        { provide: MergedMetrics, useValue: metrics },
        LaneMerging,
        Lifecycle,
        Readiness,
        DashboardCollector,
        Preparer,
        LiveGate,
        LiveService,
      ],
    };
  }
}

function otherProcesses(placement: PlacementReader): string[] {
  return [...placement.workers().map(({ id }) => id), 'runner', 'scheduler'];
}

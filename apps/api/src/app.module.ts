import { Module, type DynamicModule } from '@nestjs/common';
import { Registry } from 'prom-client';
import { LiveService } from './accept/live.service';
import { InferController } from './accept/open-inference/infer.controller';
import { MetadataController } from './accept/open-inference/metadata.controller';
import { EmbeddingsController } from './accept/openai/embeddings.controller';
import { ModelsController } from './accept/openai/models.controller';
import { PredictController } from './accept/predict/predict.controller';
import { Preparer } from './accept/preparer';
import { Admission } from './admission/admission';
import { HealthController } from './health/health.controller';
import { Readiness } from './health/readiness';
import { Lifecycle } from './lifecycle';
import { LiveMetrics } from './metrics/live-metrics';
import { MergedMetrics } from './metrics/merge';
import { MetricsController } from './metrics/metrics.controller';
import { BACKEND, CATALOG, CONFIG, LOGGER, PLACEMENT, type Parts } from './parts';

/** The composition root of the API. */
@Module({})
export class AppModule {
  static of(parts: Parts): DynamicModule {
    const { config, placement } = parts;
    const registry = new Registry();
    const realtimeWorkers = placement.workers.filter(({ lane }) => lane === 'realtime');
    const admission = new Admission(realtimeWorkers.reduce((sum, { queueItemsMax }) => sum + queueItemsMax, 0) || config.realtime.queueItemsMax);
    const otherProcesses = [...placement.workers.map(({ id }) => id), 'runner', 'scheduler'];
    return {
      module: AppModule,
      controllers: [HealthController, MetadataController, InferController, PredictController, EmbeddingsController, ModelsController, MetricsController],
      providers: [
        { provide: CONFIG, useValue: config },
        { provide: LOGGER, useValue: parts.logger },
        { provide: PLACEMENT, useValue: placement },
        { provide: BACKEND, useValue: parts.backend },
        { provide: CATALOG, useValue: parts.catalog },
        { provide: Registry, useValue: registry },
        { provide: Admission, useValue: admission },
        { provide: LiveMetrics, useValue: new LiveMetrics(registry, admission) },
        { provide: MergedMetrics, useValue: new MergedMetrics(registry, config.runDir, otherProcesses) },
        Lifecycle,
        Readiness,
        Preparer,
        LiveService,
      ],
    };
  }
}

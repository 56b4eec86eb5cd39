import { Module, type OnModuleInit } from '@nestjs/common';
import { HttpAdapterHost } from '@nestjs/core';
import { AdmissionModule } from '../admission/admission.module';
import { fastifyOf } from '../http/fastify-adapter';
import { Degradation } from '../resilience/degradation';
import { GuardedRuns } from '../resilience/guarded-runs';
import { ReleasesModule } from '../releases/releases.module';
import { ModelCommands } from '../repository/model-commands';
import { ModelCommandsController } from '../repository/model-commands.controller';
import { ModelLoads } from '../repository/model-loads';
import { ModelUse } from '../repository/model-use';
import { Renewal } from '../repository/renewal';
import { ResponseCacheModule } from '../response-cache/response-cache.module';
import { LiveMetrics } from '../metrics/live-metrics';
import { MetricsModule } from '../metrics/metrics.module';
import { SharedMemoryController } from '../shared-memory/shared-memory.controller';
import { SharedMemoryService } from '../shared-memory/shared-memory.service';
import { SharesModule } from '../shares/shares.module';
import { LaneMerging } from './lane-merging';
import { LiveGate } from './live-gate';
import { addLiveHooks } from './live-hooks';
import { LiveRunner } from './live-runner';
import { LiveService } from './live.service';
import { InferController } from './open-inference/infer.controller';
import { MetadataController } from './open-inference/metadata.controller';
import { JsonBody } from './open-inference/json-body';
import { ModelConfigs } from './open-inference/model-config';
import { LiveStatistics } from './open-inference/model-statistics';
import { NotSupportedController } from './open-inference/not-supported.controller';
import { TritonController } from './open-inference/triton.controller';
import { EmbeddingsController } from './openai/embeddings.controller';
import { ModelsController } from './openai/models.controller';
import { PredictController } from './predict/predict.controller';
import { TasksController } from './tasks/tasks.controller';
import { Preparer } from './preparer';
import { ServiceTiers } from './service-tiers';

/** The live path, and what callers of it may ask about models. */
@Module({
  imports: [AdmissionModule, MetricsModule, ReleasesModule, ResponseCacheModule, SharesModule],
  controllers: [
    MetadataController,
    InferController,
    TritonController,
    NotSupportedController,
    SharedMemoryController,
    PredictController,
    EmbeddingsController,
    TasksController,
    ModelsController,
    ModelCommandsController,
  ],
  providers: [
    LaneMerging,
    ServiceTiers,
    Preparer,
    GuardedRuns,
    Degradation,
    LiveGate,
    LiveRunner,
    LiveService,
    LiveStatistics,
    ModelConfigs,
    JsonBody,
    SharedMemoryService,
    ModelCommands,
    ModelLoads,
    ModelUse,
    Renewal,
  ],
  exports: [LiveRunner, LiveStatistics, ModelCommands, ModelConfigs, Preparer],
})
export class LiveModule implements OnModuleInit {
  constructor(
    private readonly http: HttpAdapterHost,
    private readonly gate: LiveGate,
    private readonly metrics: LiveMetrics,
  ) {}

  onModuleInit(): void {
    addLiveHooks(fastifyOf(this.http), this.gate, this.metrics);
  }
}

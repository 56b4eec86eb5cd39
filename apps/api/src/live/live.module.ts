import { Module, type OnModuleInit } from '@nestjs/common';
import { HttpAdapterHost } from '@nestjs/core';
import { AdmissionModule } from '../admission/admission.module';
import { fastifyOf } from '../http/fastify-adapter';
import { LiveMetrics } from '../metrics/live-metrics';
import { MetricsModule } from '../metrics/metrics.module';
import { LaneMerging } from './lane-merging';
import { LiveGate } from './live-gate';
import { addLiveHooks } from './live-hooks';
import { LiveRunner } from './live-runner';
import { LiveService } from './live.service';
import { InferController } from './open-inference/infer.controller';
import { MetadataController } from './open-inference/metadata.controller';
import { TritonController } from './open-inference/triton.controller';
import { EmbeddingsController } from './openai/embeddings.controller';
import { ModelsController } from './openai/models.controller';
import { PredictController } from './predict/predict.controller';
import { Preparer } from './preparer';

/** The live path, and what callers of it may ask about models. */
@Module({
  imports: [AdmissionModule, MetricsModule],
  controllers: [MetadataController, InferController, TritonController, PredictController, EmbeddingsController, ModelsController],
  providers: [LaneMerging, Preparer, LiveGate, LiveRunner, LiveService],
  exports: [Preparer, LiveRunner],
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

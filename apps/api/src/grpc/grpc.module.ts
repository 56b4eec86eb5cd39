import { Module } from '@nestjs/common';
import { HealthModule } from '../health/health.module';
import { LoadReportModule } from '../load-report/load-report.module';
import { LiveModule } from '../live/live.module';
import { MetricsModule } from '../metrics/metrics.module';
import { GrpcServer } from './grpc-server';
import { Handlers } from './handlers';
import { GrpcHealth } from './health';
import { InferenceCalls } from './inference-calls';
import { InfoCalls } from './info-calls';
import { ModelContents } from './model-contents';

/** The Open Inference Protocol over gRPC, beside HTTP in one process. */
@Module({
  imports: [HealthModule, LiveModule, LoadReportModule, MetricsModule],
  providers: [InferenceCalls, InfoCalls, ModelContents, GrpcHealth, Handlers, GrpcServer],
  exports: [GrpcServer],
})
export class GrpcModule {}

import { Module, type DynamicModule } from '@nestjs/common';
import { AdminModule } from './admin/admin.module';
import { ApiStatus } from './api-status';
import { BatchesModule } from './batches/batches.module';
import { DashboardModule } from './dashboard/dashboard.module';
import { DocsModule } from './docs/docs.module';
import { GrpcModule } from './grpc/grpc.module';
import { HealthModule } from './health/health.module';
import { HttpModule } from './http/http.module';
import { LiveModule } from './live/live.module';
import { MetricsModule } from './metrics/metrics.module';
import { ProcessModule, type ApiProcess } from './process.module';
import { Shutdown } from './shutdown';

/** The composition root of the API. */
@Module({})
export class AppModule {
  /** `lane`: a `LaneModule`. */
  static of(process: ApiProcess, lane: DynamicModule): DynamicModule {
    return {
      module: AppModule,
      imports: [
        ProcessModule.of(process),
        lane,
        HttpModule,
        HealthModule,
        LiveModule,
        GrpcModule,
        MetricsModule,
        BatchesModule,
        DashboardModule,
        DocsModule,
        AdminModule,
      ],
      providers: [ApiStatus, Shutdown],
    };
  }
}

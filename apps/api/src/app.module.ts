import { Module, type DynamicModule } from '@nestjs/common';
import { AdminModule } from './admin/admin.module';
import { ApiStatus } from './api-status';
import { BatchesModule } from './batches/batches.module';
import { DashboardBatchesModule } from './dashboard/batches/dashboard-batches.module';
import { DashboardModule } from './dashboard/dashboard.module';
import { DocsModule } from './docs/docs.module';
import { FleetModule } from './fleet/fleet.module';
import { GrpcModule } from './grpc/grpc.module';
import { HealthModule } from './health/health.module';
import { HttpModule } from './http/http.module';
import { LiveModule } from './live/live.module';
import { MetricsModule } from './metrics/metrics.module';
import { ProcessModule, type ApiProcess } from './process.module';
import { ReleasesModule } from './releases/releases.module';
import { ResilienceModule } from './resilience/resilience.module';
import { Shutdown } from './shutdown';
import type { TlsFiles } from './tls/tls-files';
import { TlsModule } from './tls/tls.module';

/** The composition root of the API. */
@Module({})
export class AppModule {
  /** `lane`: a `LaneModule`; `access`: an `AccessModule`. */
  static of(process: ApiProcess, lane: DynamicModule, access: DynamicModule, tls: TlsFiles | null): DynamicModule {
    return {
      module: AppModule,
      imports: [
        ProcessModule.of(process),
        access,
        TlsModule.of(tls),
        lane,
        ResilienceModule,
        ReleasesModule,
        HttpModule,
        HealthModule,
        LiveModule,
        GrpcModule,
        MetricsModule,
        BatchesModule,
        FleetModule,
        DashboardModule,
        DashboardBatchesModule,
        DocsModule,
        AdminModule,
      ],
      providers: [ApiStatus, Shutdown],
    };
  }
}

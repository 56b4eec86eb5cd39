import { Module } from '@nestjs/common';
import { BatchesModule } from '../batches/batches.module';
import { FleetModule } from '../fleet/fleet.module';
import { HealthModule } from '../health/health.module';
import { MetricsModule } from '../metrics/metrics.module';
import { ReleasesModule } from '../releases/releases.module';
import { DashboardCollector } from './collector';
import { DashboardController } from './dashboard.controller';
import { PageController } from './page/page.controller';

/** `/dashboard`, for operators. */
@Module({
  imports: [BatchesModule, FleetModule, HealthModule, MetricsModule, ReleasesModule],
  controllers: [DashboardController, PageController],
  providers: [DashboardCollector],
})
export class DashboardModule {}

import { Module } from '@nestjs/common';
import { ObservationController } from './observation/observation.controller';
import { ObservationRelay } from './observation/observation-relay';
import { PageController } from './page/page.controller';

/** `/dashboard`, for operators. */
@Module({
  controllers: [ObservationController, PageController],
  providers: [ObservationRelay],
})
export class DashboardModule {}

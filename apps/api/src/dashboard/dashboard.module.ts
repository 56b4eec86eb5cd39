import { Module } from '@nestjs/common';
import { ObservationController } from './observation/observation.controller';
import { ObservationRelay } from './observation/observation-relay';

/** `/dashboard`, for operators. */
@Module({
  controllers: [ObservationController],
  providers: [ObservationRelay],
})
export class DashboardModule {}

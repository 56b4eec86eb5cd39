import { Module } from '@nestjs/common';
import { GrpcModule } from '../grpc/grpc.module';
import { HealthModule } from '../health/health.module';
import { SharesModule } from '../shares/shares.module';
import { JsonBody } from '../live/open-inference/json-body';
import { Fleet } from './fleet';
import { FleetMetrics } from './fleet-metrics';
import { FleetController } from './fleet.controller';
import { LiveUtilization } from './live-utilization';
import { NodeDescription } from './node-description';

/** Who else serves: `/fleet`, and discovery for proxies. */
@Module({
  imports: [GrpcModule, HealthModule, SharesModule],
  controllers: [FleetController],
  providers: [Fleet, FleetMetrics, JsonBody, LiveUtilization, NodeDescription],
  exports: [Fleet],
})
export class FleetModule {}

import { Module } from '@nestjs/common';
import { Registry } from 'prom-client';
import { TenantMetrics } from './tenant-metrics';
import { TenantShares } from './tenant-shares';

/** What each tenant may use of the executors without a batch. */
@Module({
  providers: [
    {
      provide: TenantShares,
      useFactory: (registry: Registry) => new TenantShares(new TenantMetrics(registry)),
      inject: [Registry],
    },
  ],
  exports: [TenantShares],
})
export class SharesModule {}

import type { InferenceBackend } from '@app/contracts';
import { Module } from '@nestjs/common';
import { Registry } from 'prom-client';
import { BACKEND } from '../tokens';
import { TenantMetrics } from './tenant-metrics';
import { TenantShares } from './tenant-shares';

/** What each tenant may use of the live executors. */
@Module({
  providers: [
    {
      provide: TenantShares,
      useFactory: (backend: InferenceBackend, registry: Registry) => new TenantShares(backend, new TenantMetrics(registry)),
      inject: [BACKEND, Registry],
    },
  ],
  exports: [TenantShares],
})
export class SharesModule {}

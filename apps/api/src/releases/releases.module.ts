import { Module } from '@nestjs/common';
import { Registry } from 'prom-client';
import { ReleaseMetrics } from './release-metrics';
import { Releases } from './releases';
import { ShadowRuns } from './shadow-runs';

/** Canaries, mirrored requests, and the comparison of answers. */
@Module({
  providers: [
    { provide: ReleaseMetrics, useFactory: (registry: Registry) => new ReleaseMetrics(registry), inject: [Registry] },
    ShadowRuns,
    Releases,
  ],
  exports: [Releases],
})
export class ReleasesModule {}

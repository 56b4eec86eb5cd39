import type { Config } from '@app/config';
import type { InferenceBackend } from '@app/contracts';
import { PlacementReader } from '@app/process';
import { Module, type OnModuleInit } from '@nestjs/common';
import { HttpAdapterHost } from '@nestjs/core';
import { fastifyOf } from '../http/fastify-adapter';
import { SharesModule } from '../shares/shares.module';
import { TenantShares } from '../shares/tenant-shares';
import { BACKEND, CONFIG } from '../tokens';
import { reportByHttp } from './http-report';
import { LoadMeter } from './load-meter';
import { LoadReports } from './load-reports';

/** What answers say of this node's load, for proxies that spread requests over nodes. */
@Module({
  imports: [SharesModule],
  providers: [
    {
      provide: LoadReports,
      useFactory: (config: Config, backend: InferenceBackend, placement: PlacementReader, shares: TenantShares) =>
        new LoadReports(isOneOfMany(config) ? new LoadMeter(liveLane(backend, placement, shares)) : null),
      inject: [CONFIG, BACKEND, PlacementReader, TenantShares],
    },
  ],
  exports: [LoadReports],
})
export class LoadReportModule implements OnModuleInit {
  constructor(
    private readonly http: HttpAdapterHost,
    private readonly reports: LoadReports,
  ) {}

  onModuleInit(): void {
    const { meter } = this.reports;
    if (meter !== null) reportByHttp(fastifyOf(this.http), meter);
  }
}

/** A node alone reports nothing: nobody would read it, and each answer would carry it. */
const isOneOfMany = ({ redisUrl, envoy }: Config): boolean => redisUrl !== null || envoy !== null;

function liveLane(backend: InferenceBackend, placement: PlacementReader, shares: TenantShares): ConstructorParameters<typeof LoadMeter>[0] {
  return {
    ranMs: () => shares.ranMs,
    backlogMs: () => backend.backlogMs(),
    executors: () => placement.workers().reduce((sum, { lane, cpus }) => sum + (lane === 'realtime' ? cpus.length : 0), 0),
  };
}

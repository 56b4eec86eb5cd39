import type { Config } from '@app/config';
import { Global, Module } from '@nestjs/common';
import { Registry } from 'prom-client';
import { CONFIG } from '../tokens';
import { Breakers } from './breakers';

/** The circuit breakers of this process, for whatever calls something that may fail. */
@Global()
@Module({
  providers: [
    {
      provide: Breakers,
      useFactory: (registry: Registry, { breaker }: Config) => new Breakers(registry, breaker),
      inject: [Registry, CONFIG],
    },
  ],
  exports: [Breakers],
})
export class ResilienceModule {}

import type { Config } from '@app/config';
import { Module } from '@nestjs/common';
import { CONFIG } from '../tokens';
import { CachedRuns } from './cached-runs';
import { ResponseCache } from './response-cache';

/** Kept answers of models with `cache` in their model.yaml. */
@Module({
  providers: [
    CachedRuns,
    { provide: ResponseCache, useFactory: ({ responseCache }: Config) => new ResponseCache(responseCache.bytesMax), inject: [CONFIG] },
  ],
  exports: [CachedRuns],
})
export class ResponseCacheModule {}

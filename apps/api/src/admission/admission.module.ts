import type { Config } from '@app/config';
import { Module } from '@nestjs/common';
import { CONFIG } from '../tokens';
import { Preparation } from './preparation';

/** How many live requests are prepared at once; how many are admitted is the worker pool's to say. */
@Module({
  providers: [{ provide: Preparation, useFactory: ({ http }: Config) => new Preparation(http.preparingRequestsMax), inject: [CONFIG] }],
  exports: [Preparation],
})
export class AdmissionModule {}

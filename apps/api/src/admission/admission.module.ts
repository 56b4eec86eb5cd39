import type { Config } from '@app/config';
import { Module } from '@nestjs/common';
import { PlacementFile } from '../placement-file';
import { CONFIG } from '../tokens';
import { Admission } from './admission';
import { Preparation } from './preparation';

/** How many live requests are prepared, and how many items are in flight. */
@Module({
  providers: [
    {
      provide: Admission,
      useFactory: (placement: PlacementFile, config: Config) => new Admission(() => itemsMax(placement, config)),
      inject: [PlacementFile, CONFIG],
    },
    { provide: Preparation, useFactory: ({ http }: Config) => new Preparation(http.preparingRequestsMax), inject: [CONFIG] },
  ],
  exports: [Admission, Preparation],
})
export class AdmissionModule {}

/** What the queues of all real-time workers hold; a worker refuses more by itself. */
function itemsMax(placement: PlacementFile, config: Config): number {
  const realtime = placement.workers().filter(({ lane }) => lane === 'realtime');
  return realtime.reduce((sum, { queueItemsMax }) => sum + queueItemsMax, 0) || config.realtime.queueItemsMax;
}

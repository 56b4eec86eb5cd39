import type { Config } from '@app/config';
import { BatchStore, FileStore, openStore, readInstanceId, uploadLimits } from '@app/batches';
import { BatchQueues, redisAddress } from '@app/queues';
import type { Logger } from '@app/telemetry';
import type { Breakers } from '../resilience/breakers';
import { StorageGuard, storageVerdict } from '../resilience/storage-guard';
import { BatchService } from './batch.service';

/** A disk or Redis that failed three times of the last five will fail again. */
const WINDOW = { callsMax: 5, callsMin: 3 };

/** Opens files, batches and queues for the API. Redis need not be there. */
export async function openBatchService(config: Config, log: Logger, breakers: Breakers): Promise<BatchService> {
  const store = await openStore({
    storage: config.storage,
    freeBytesMin: config.batch.diskFreeBytesMin,
    onAway: (error) => log.warn({ err: error }, 'files and batches are not available yet'),
  });
  const files = new FileStore(store, uploadLimits(config.batch));
  const queues = new BatchQueues({
    address: redisAddress(config),
    instanceId: await readInstanceId(store),
    onError: (error) => log.debug({ err: error }, 'Redis'),
  });
  return new BatchService({
    files,
    batches: new BatchStore(store),
    queues,
    storage: new StorageGuard(store, breakers.of('storage', storageVerdict, WINDOW), () => files.tryWrite()),
    redis: breakers.of('redis', () => 'fault', WINDOW),
    fileBytesMax: config.batch.fileBytesMax,
    inputs: { roots: config.batch.inputRoots, buckets: config.batch.inputBuckets },
    log,
  });
}

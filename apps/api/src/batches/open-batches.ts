import type { Config } from '@app/config';
import { BatchStore, FileStore, IdempotencyKeys, openStore, readInstanceId, TenantUsage, uploadLimits, UploadStore } from '@app/batches';
import { BatchQueues, redisAddress } from '@app/queues';
import type { Logger } from '@app/telemetry';
import type { Breakers } from '../resilience/breakers';
import { StorageGuard, storageVerdict } from '../resilience/storage-guard';
import { BatchService } from './batch.service';
import { TenantQuotas } from './tenant-quotas';
import { UploadService } from './upload.service';

/** A disk or Redis that failed three times of the last five will fail again. */
const DAY_SECONDS = 86_400;
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
  const fileLifeSeconds = config.batch.retention.filesDays * DAY_SECONDS;
  const batches = new BatchStore(store);
  const uploads = new UploadStore(store, files);
  const quotas = new TenantQuotas(config.access.tenants, new TenantUsage({ files, batches, uploads }));
  const storage = new StorageGuard(store, breakers.of('storage', storageVerdict, WINDOW), () => files.tryWrite());
  return new BatchService({
    store,
    files,
    batches,
    uploads: new UploadService({ uploads, storage, quotas, fileLifeSeconds }),
    idempotency: new IdempotencyKeys(store, batches),
    quotas,
    queues,
    storage,
    redis: breakers.of('redis', () => 'fault', WINDOW),
    fileBytesMax: config.batch.fileBytesMax,
    fileLifeSeconds,
    inputs: { roots: config.batch.inputRoots, buckets: config.batch.inputBuckets },
    log,
  });
}

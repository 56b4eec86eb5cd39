import type { UploadObject } from '@app/contracts';
import type { Completion, PartWriter, UploadStore } from '@app/batches';
import { seenBy, type Caller } from '../access/caller';
import type { StorageGuard } from '../resilience/storage-guard';
import type { TenantQuotas } from './tenant-quotas';
import type { UploadRequest } from './upload-requests';

export interface UploadServiceParts {
  uploads: UploadStore;
  storage: StorageGuard;
  quotas: TenantQuotas;
  /** Life of a file for which its sender names none. */
  fileLifeSeconds: number;
}

/** Uploads in parts as the API sees them. */
export class UploadService {
  constructor(private readonly parts: UploadServiceParts) {}

  /** Rejects as `UploadStore.create` and `TenantQuotas.checkFile`. */
  create({ bytes, filename, expiresAfterSeconds: life }: UploadRequest, { tenant }: Caller): Promise<UploadObject> {
    const { uploads, storage, quotas, fileLifeSeconds } = this.parts;
    const upload = { bytes, filename, tenant, expiresAfterSeconds: life ?? fileLifeSeconds };
    return storage.write(() => quotas.storeFile(tenant, bytes, () => uploads.create(upload)));
  }

  get(uploadId: string, caller: Caller): Promise<UploadObject> {
    return this.parts.uploads.get(uploadId, seenBy(caller));
  }

  addPart(uploadId: string, bytesMin: number, caller: Caller): Promise<PartWriter> {
    return this.parts.uploads.addPart(uploadId, Math.max(0, bytesMin), seenBy(caller));
  }

  complete(uploadId: string, completion: Completion, caller: Caller): Promise<UploadObject> {
    return this.parts.storage.write(() => this.parts.uploads.complete(uploadId, completion, seenBy(caller)));
  }

  cancel(uploadId: string, caller: Caller): Promise<UploadObject> {
    return this.parts.storage.write(() => this.parts.uploads.cancel(uploadId, seenBy(caller)));
  }
}

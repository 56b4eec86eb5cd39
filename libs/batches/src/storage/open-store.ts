import { mkdir } from 'node:fs/promises';
import type { StorageLocation } from '@app/config';
import { InterleaveError } from '@app/contracts';
import { LocalStore } from './local-store';
import type { ObjectStore } from './object-store';
import { proveConditions } from './s3/prove-conditions';
import { openS3Client } from './s3/s3-client';
import { S3Store } from './s3/s3-store';

export interface StoreSettings {
  storage: StorageLocation;
  /** Kept free on the disk of a directory. */
  freeBytesMin: number;
}

/**
 * The store of this node. A bucket is tried first: rejects with `StoreUnfit` when it lacks the conditional writes that nodes
 * need to share it. One that is away is no error; it is then tried before the first write.
 */
export async function openStore({ storage, freeBytesMin }: StoreSettings): Promise<ObjectStore> {
  if (storage.kind === 'directory') {
    await mkdir(storage.path, { recursive: true });
    return new LocalStore(storage.path, { freeBytesMin });
  }
  const client = openS3Client(storage);
  const store = new S3Store(client, storage, { prove: () => proveConditions(new S3Store(client, storage, { partBytes: 1 })) });
  await store.prove().catch((error: unknown) => {
    if (!(error instanceof InterleaveError)) throw error;
  });
  return store;
}

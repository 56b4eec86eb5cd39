import type { BucketLocation } from '@app/config';
import { InterleaveError } from '@app/contracts';
import { proveConditions } from './prove-conditions';
import { openS3Client } from './s3-client';
import { S3Store } from './s3-store';

/**
 * A bucket as the store. It is tried first: rejects with `StoreUnfit` when it lacks the conditional writes that nodes need to
 * share it. One that is away is no error; it is then tried before the first write.
 */
export async function openS3Store(location: BucketLocation, onAway: (error: Error) => void): Promise<S3Store> {
  const client = await openS3Client(location);
  const store = new S3Store(client, location, { prove: () => proveConditions(new S3Store(client, location, { partBytes: 1 })) });
  await store.prove().catch((error: unknown) => {
    if (!(error instanceof InterleaveError)) throw error;
    onAway(error);
  });
  return store;
}

import { mkdir } from 'node:fs/promises';
import type { StorageLocation } from '@app/config';
import { LocalStore } from './local-store';
import type { ObjectStore } from './object-store';

export interface StoreSettings {
  storage: StorageLocation;
  /** Kept free on the disk of a directory. */
  freeBytesMin: number;
  /** Told why a bucket does not do what it is asked at the start. */
  onAway: (error: Error) => void;
}

/** The store of this node. Rejects with `StoreUnfit` for a bucket that nodes cannot share. */
export async function openStore({ storage, freeBytesMin, onAway }: StoreSettings): Promise<ObjectStore> {
  if (storage.kind === 'bucket') {
    // Only then: the AWS SDK takes a third of a second to load, and memory.
    const { openS3Store } = await import('./s3/open-s3-store');
    return openS3Store(storage, onAway);
  }
  await mkdir(storage.path, { recursive: true });
  return new LocalStore(storage.path, { freeBytesMin });
}

import { mkdir } from 'node:fs/promises';
import { LocalStore } from './local-store';
import type { ObjectStore } from './object-store';

export interface StoreSettings {
  dataDir: string;
  /** Kept free on the disk of a local store. */
  freeBytesMin: number;
}

/** The store of this node. */
export async function openStore({ dataDir, freeBytesMin }: StoreSettings): Promise<ObjectStore> {
  await mkdir(dataDir, { recursive: true });
  return new LocalStore(dataDir, { freeBytesMin });
}

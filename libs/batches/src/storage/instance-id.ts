import { randomBytes } from 'node:crypto';
import type { ObjectStore } from './object-store';
import { storeKeys } from './store-keys';

/**
 * The name of a store, made once. It is the prefix of every Redis key, so that two installations that share one Redis cannot
 * take each other's chunks.
 */
export async function readInstanceId(store: ObjectStore): Promise<string> {
  const existing = await store.get(storeKeys.instanceId);
  if (existing !== null) return existing.bytes.toString('utf8');
  await store.putIfAbsent(storeKeys.instanceId, Buffer.from(randomBytes(8).toString('hex')));
  // What the first one wrote, who may be another process.
  const made = await store.get(storeKeys.instanceId);
  if (made === null) throw new Error(`${storeKeys.instanceId} was removed while it was read`);
  return made.bytes.toString('utf8');
}

import { createHash, randomBytes } from 'node:crypto';
import type { ObjectStore } from './object-store';
import { storeKeys } from './store-keys';

const ID_CHARS = 16;

/**
 * The name of a store, made once. It is the prefix of every Redis key, so that two installations that share one Redis cannot
 * take each other's chunks. A bucket's is of its address, so that a node starts while the bucket is away.
 */
export async function readInstanceId(store: ObjectStore): Promise<string> {
  if (store.kind === 'bucket') return createHash('sha256').update(store.address).digest('hex').slice(0, ID_CHARS);
  const existing = await store.get(storeKeys.instanceId);
  if (existing !== null) return existing.bytes.toString('utf8');
  await store.putIfAbsent(storeKeys.instanceId, Buffer.from(randomBytes(ID_CHARS / 2).toString('hex')));
  // What the first one wrote, who may be another process.
  const made = await store.get(storeKeys.instanceId);
  if (made === null) throw new Error(`${storeKeys.instanceId} was removed while it was read`);
  return made.bytes.toString('utf8');
}
